"""Teeth, gums and tongue: where they are, and that nothing of them comes through the skin."""

import numpy as np
import pytest
from raycast import cast

from facewright import Recipe, sample
from facewright.face.dentition import ARCHES, dentition
from facewright.face.expression import MOOD_UNITS, lid_closure
from facewright.face.landmarks import ibug68
from facewright.face.topology import masks
from facewright.figure import build_figure
from facewright.geometry.polygon import inside_polygon
from facewright.labels import truth
from facewright.schema import Label

MOUTH = [int(label) for label in (Label.TEETH, Label.GUMS, Label.TONGUE, Label.MOUTH)]
FACE = Recipe.load(
    "face",
    [
        "image.width=112",
        "image.height=112",
        "camera.field_mm=170",
        "expression.intensity=1",
        "subject.wear.glasses.kind=none",
    ],
)


def arches(one, **changes):
    figure = build_figure(one.replace(changes))
    return {part.name: part for part in dentition(figure.basis_vertices, one.subject.mouth, (one.seed, 0))}, figure


@pytest.mark.parametrize("index", range(12))
def test_what_is_in_the_mouth_shows_between_the_lips_only(index):
    figure = build_figure(sample(FACE, 5, index))
    known = truth(figure)
    rows, columns = np.nonzero(np.isin(cast(figure), MOUTH))
    lips = known.landmarks_2d[48:60]
    grown = lips.mean(axis=0) + 1.12 * (lips - lips.mean(axis=0))
    assert inside_polygon(np.stack([columns, rows], axis=1) + 0.5, grown).all()


def test_crowns_are_as_large_as_teeth():
    one = sample(FACE, 5, 0)
    parts, _ = arches(one)
    for arch in ARCHES:
        crowns = parts[arch.strip].vertices.reshape(14, -1, 3)
        height = np.ptp(crowns[:, :, 1], axis=1)
        assert ((height > 6) & (height < 16)).all(), arch.strip
        incisor = np.ptp(crowns[[0, 7], :, 0], axis=1)
        assert np.allclose(incisor, arch.widths[0], rtol=0.25), arch.strip


def test_lower_teeth_follow_the_jaw_and_upper_ones_do_not():
    one = sample(FACE, 5, 0).replace({"expression.mood": "neutral"})
    shut, _ = arches(one)
    wide, _ = arches(one, **{"expression.mood": "yawn"})
    drop = {arch.strip: (shut[arch.strip].vertices - wide[arch.strip].vertices)[:, 1].mean() for arch in ARCHES}
    assert abs(drop["upper_teeth"]) < 0.2
    assert drop["lower_teeth"] > 8


def test_shown_teeth_by_mood():
    area = {}
    for mood in ("neutral", "grin", "laugh", "yawn", "tongue"):
        one = sample(FACE, 5, 3).replace(
            {
                "expression.mood": mood,
                "pose.head_yaw_deg": 0.0,
                "pose.head_pitch_deg": 0.0,
                "camera.azimuth_deg": 0.0,
                "camera.elevation_deg": 0.0,
            }
        )
        ids = cast(build_figure(one))
        area[mood] = {label: int((ids == int(label)).sum()) for label in (Label.TEETH, Label.TONGUE)}
    assert area["neutral"][Label.TEETH] < 30 < area["grin"][Label.TEETH] < area["laugh"][Label.TEETH]
    assert area["tongue"][Label.TONGUE] > area["neutral"][Label.TONGUE] + 20


def test_the_jaw_turns_with_the_head():
    follow = masks().head[ibug68()]
    assert follow.min() > 0.999  # the mandible is bone; only the neck below it bends


def test_one_sided_moods_come_on_both_sides():
    one = sample(FACE, 5, 0).replace({"expression.mood": "wink", "expression.blink": 0.0, "expression.wink": 0.0})
    sides = set()
    for sign in (-0.5, 0.5):
        variation = (sign, *one.expression.variation[1:])
        shut = lid_closure(one.replace({"expression.variation": variation}).expression)
        sides.add(max(shut, key=lambda side: shut[side]))
        assert min(shut.values()) == 0
        assert max(shut.values()) == 1
    assert sides == {"right", "left"}


@pytest.mark.parametrize("mood", MOOD_UNITS)
def test_every_mood_builds(mood):
    one = sample(FACE, 5, 1).replace({"expression.mood": mood})
    figure = build_figure(one)
    assert np.isfinite(figure.head).all()
