"""The attribute table is flat, complete, and says what sample and truth say."""

import numpy as np
import pytest

from facewright import Recipe, sample
from facewright.attributes import DERIVED, attributes
from facewright.mock import MockRenderer
from facewright.sample import parameters

RECIPE = Recipe.load("face", ["image.width=64", "image.height=64", "frames_per_subject=2"])


@pytest.fixture(scope="module")
def frames():
    with MockRenderer() as render:
        return [render(sample(RECIPE, 7, index)) for index in range(4)]


def test_a_row_holds_every_scalar_parameter_and_what_was_derived(frames):
    scalars = [path for path, (_, kind) in parameters().items() if kind != "vector"]
    for frame in frames:
        row = frame.attributes
        assert row == attributes(frame.sample, frame.truth)
        assert list(row) == [*DERIVED, *scalars]
        assert {type(value) for value in row.values()} <= {float, int, str, bool}
        assert row["subject.head.age_years"] == frame.sample.subject.head.age_years
        assert row["subject.wear.glasses.kind"] == frame.sample.subject.wear.glasses.kind
        assert row["head_yaw_deg"] == pytest.approx(frame.truth.head.yaw_deg, abs=1e-4)
        x, y, z = frame.truth.gaze
        assert row["gaze_pitch_deg"] == pytest.approx(np.degrees(np.arcsin(-y)), abs=1e-3)
        assert row["gaze_yaw_deg"] == pytest.approx(np.degrees(np.arctan2(-x, -z)), abs=1e-3)
        main = row["ancestry"]
        assert row[f"subject.head.{main}"] == max(row[f"subject.head.{n}"] for n in ("african", "asian", "caucasian"))
        assert row["sex"] == ("female" if frame.sample.subject.head.gender < 0.5 else "male")


def test_frames_of_a_subject_share_an_identity(frames):
    identities = [frame.attributes["identity"] for frame in frames]
    assert identities[0] == identities[1] != identities[2] == identities[3]


def test_what_hides_the_face_adds_up(cycles):
    recipe = Recipe.load("face", ["image.width=96", "image.height=96", "image.samples=1", "image.denoise=false"])
    made = sample(recipe, 3, 5).replace(
        {"subject.hair.style": "long", "subject.wear.glasses.kind": "clear", "subject.wear.hat.kind": "none"}
    )
    row = cycles(made, ()).attributes
    parts = [value for name, value in row.items() if name.startswith("occluded_")]
    assert row["occluded"] == pytest.approx(sum(parts), abs=1e-3)
    assert row["occluded_hair"] > 0.005
    assert row["occluded_glasses_frame"] > 0.005
    assert row["occluded_hat"] == 0
