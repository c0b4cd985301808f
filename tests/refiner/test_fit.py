"""Fitting: a hidden camera is found again, and folders that cannot serve are refused."""

import numpy as np
import pytest
from PIL import Image

from facewright.errors import DatasetError
from facewright_refiner import fit as fitting
from facewright_refiner import sensor
from facewright_refiner.apply import to_image, to_tensor
from facewright_refiner.fit import fit_sensor
from facewright_refiner.pictures import find_pictures, groups_of, read_pictures
from facewright_refiner.profile import Profile, draw

HIDDEN = Profile.from_data(
    {
        "version": 1,
        "name": "hidden",
        "sensor": {
            "exposure_ev": {"uniform": [0.3, 1.0]},
            "warm_ev": {"uniform": [0.5, 0.9]},
            "blur_px": {"uniform": [0.8, 1.4]},
            "shot": {"log_uniform": [0.03, 0.05]},
            "read": 0.006,
            "jpeg": {"uniform": [55, 75]},
            "mosaic": "bayer",
            "contrast": 1.2,
        },
    }
)


@pytest.fixture(scope="module")
def real_dir(tmp_path_factory, make_frame):
    folder = tmp_path_factory.mktemp("real")
    for n in range(48):
        light = to_tensor([make_frame(100 + n, 48, 36).linear])
        image = to_image(sensor.apply(light, [draw(HIDDEN, 1, n)]))[0]
        Image.fromarray(image).save(folder / f"face_{n:03d}.png")
    return folder


def test_a_hidden_camera_is_recovered(real_dir, make_frame, tmp_path):
    events = []
    frames = [make_frame(n, 48, 36) for n in range(20)]
    base = Profile.from_data({"version": 1, "name": "base", "sensor": {"mosaic": "bayer"}})
    result = fit_sensor(real_dir, frames, tmp_path / "mine.yaml", base=base, evaluations=180, progress=events.append)
    held = result.profile.fit["held_out"]
    assert held["fitted"]["total"] < 0.6 * held["base"]["total"]
    assert held["fitted"]["lab"] < 0.75 * held["base"]["lab"]
    assert len(events) == 9
    assert any("only 48 real pictures" in note for note in result.notes)
    saved = Profile.load(tmp_path / "mine.yaml")
    assert saved.digest == result.profile.digest
    assert saved.fit["real"] == 48
    assert saved.view.width == 48
    assert len(saved.grades) == 48 - saved.fit["held_out_real"]
    assert held["fitted"]["lab"] < 0.5 * held["raw"]["lab"]


def test_grades_are_those_of_whole_pictures_and_equalised_sets_have_none(tmp_path, make_frame):
    for n in range(12):  # the left half is dark: a window of 112 px mostly sees one half
        image = np.full((130, 300, 3), 200, np.uint8)
        image[:, :150] = 50
        Image.fromarray(image).save(tmp_path / f"{n}.png")
    found = fit_sensor(tmp_path, [make_frame(n, 300, 130) for n in range(4)], evaluations=0).profile
    assert found.grades[0][:2] == pytest.approx((125 / 255, 75 / 255), abs=1e-3)


def test_a_fit_is_deterministic(real_dir, make_frame):
    frames = [make_frame(n, 48, 36) for n in range(6)]
    found = [fit_sensor(real_dir, frames, evaluations=8, seed=4).profile for _ in range(2)]
    assert found[0] == found[1]


def test_grey_and_equalised_sets_are_recognised(tmp_path, make_frame):
    light = to_tensor([make_frame(0, 48, 36).linear])
    flags = Profile.from_data({"version": 1, "sensor": {"gray": True, "equalise": True}})
    for n in range(12):
        light = to_tensor([make_frame(n, 48, 36).linear])
        Image.fromarray(to_image(sensor.apply(light, [draw(flags, 1, n)]))[0]).save(tmp_path / f"{n}.png")
    found = fit_sensor(tmp_path, [make_frame(n, 48, 36) for n in range(4)], evaluations=0).profile
    assert found.dists["gray"].value is True
    assert found.dists["equalise"].value is True
    assert not found.grades


def test_mixed_sizes_and_damaged_files_are_handled(tmp_path, make_frame):
    random = np.random.default_rng(0)
    for n in range(14):
        size = (40 + n, 60 - n, 3)
        Image.fromarray(random.integers(0, 255, size, np.uint8)).save(tmp_path / f"{n}.jpg")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG no")
    result = fit_sensor(tmp_path, [make_frame(n, 48, 36) for n in range(4)], evaluations=0)
    assert any("could not be read" in note and "broken.png" in note for note in result.notes)
    assert result.profile.fit["size"] == [54, 46]


def test_large_pictures_are_compared_in_windows(tmp_path, make_frame):
    random = np.random.default_rng(0)
    for n in range(12):
        Image.fromarray(random.integers(0, 255, (130, 150, 3), np.uint8)).save(tmp_path / f"{n}.png")
    result = fit_sensor(tmp_path, [make_frame(n, 150, 130) for n in range(4)], evaluations=0)
    assert "vignette_ev" not in fitting._fitted(result.profile, [], windowed=True)
    assert result.profile.fit["size"] == [150, 130]


def test_folders_that_cannot_serve_are_refused(tmp_path, make_frame):
    frames = [make_frame(n, 48, 36) for n in range(4)]
    with pytest.raises(DatasetError, match="no such folder"):
        fit_sensor(tmp_path / "nowhere", frames)
    with pytest.raises(DatasetError, match="holds no picture"):
        fit_sensor(tmp_path, frames)
    (tmp_path / "a.png").write_bytes(b"not a picture")
    with pytest.raises(DatasetError, match="none of 1 pictures can be read"):
        fit_sensor(tmp_path, frames)
    Image.new("RGB", (40, 40)).save(tmp_path / "b.png")
    with pytest.raises(DatasetError, match="1 pictures are too few"):
        fit_sensor(tmp_path, frames)


def test_too_few_frames_are_refused(real_dir, make_frame):
    with pytest.raises(DatasetError, match="2 synthetic frames are too few"):
        fit_sensor(real_dir, [make_frame(0), make_frame(1)])


def test_groups_join_siblings(tmp_path):
    names = [f"person{n}_{side}.png" for n in "abcdefghijklmnopqrstuvwxyz" for side in ("L", "R")]
    groups = groups_of([tmp_path / name for name in names])
    assert len(set(groups)) == 26
    assert len(set(groups_of([tmp_path / f"img_{n}.png" for n in range(30)]))) == 30


def test_reading_is_bounded_and_reproducible(real_dir):
    a, b = (read_pictures(real_dir, 10, seed=2) for _ in range(2))
    assert len(a.images) == 10
    assert a.fingerprint == b.fingerprint
    assert a.fingerprint != read_pictures(real_dir, 10, seed=3).fingerprint
    assert len(find_pictures(real_dir)) == 48
    assert read_pictures(real_dir, 2, largest=20).images[0].shape == (20, 20, 3)
