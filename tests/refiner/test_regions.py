"""Regions are found as masks teach, in a mirror too; areas, places and colours are those of what was found."""

import numpy as np
import pytest
import torch

from facewright import schema
from facewright.schema import Label
from facewright_refiner import regions
from facewright_refiner.keypoints import find, mirror, mirrored, train_finder
from facewright_refiner.regions import REGIONS, area_features, hair_features, map_features, region_ids, tone_features


def striped(count, seed):
    """Return pictures (N, 3, 40, 40) whose upper part is dark hair and lower part light skin, and their regions."""
    random = np.random.default_rng(seed)
    names = list(REGIONS["face"])
    ids = np.full((count, 40, 40), names.index("skin"), np.uint8)
    for n, edge in enumerate(random.integers(6, 30, count)):
        ids[n, :edge] = names.index("hair")
    light = np.where(ids == names.index("hair"), 0.15, 0.7) + random.normal(0, 0.05, ids.shape)
    return torch.from_numpy(light).float()[:, None].repeat(1, 3, 1, 1).clamp(0, 1), torch.from_numpy(ids)


@pytest.mark.parametrize("scene", ["face", "eye"])
def test_every_label_of_a_face_has_a_region_and_sides_share_it(scene):
    found = {label: int(region_ids(np.array([label], np.uint8), scene)[0]) for label in Label}
    assert found[Label.IGNORE] == 255
    for part in ("brow", "iris", "pupil", "sclera", "lashes", "lid_margin"):
        right, left = (found[schema.side_label(side, part)] for side in schema.SIDES)
        assert right == left < 255
    listed = [label for labels in REGIONS[scene].values() for label in labels]
    assert len(listed) == len(set(listed))
    if scene == "face":
        assert [label for label, region in found.items() if region == 255] == [Label.IGNORE]


def test_regions_are_learnt_from_masks_and_their_share_is_measured():
    pictures, ids = striped(24, 1)
    points = np.full((24, len(mirrored("face")), 2), 0.5)
    network = train_finder(pictures, points, "face", 0, 30, ids)
    unseen, known = striped(8, 2)
    found = find(network, unseen, "face")
    hair = list(REGIONS["face"]).index("hair")
    share = area_features(found.regions)[:, hair] ** 2
    truth = (known == hair).float().mean((1, 2)).numpy()
    assert np.abs(share - truth).max() < 0.15
    again = mirror(find(network, unseen.flip(-1), "face"), "face")
    assert torch.allclose(found.regions, again.regions, atol=1e-5)
    assert np.allclose(found.points, again.points, atol=1e-5)


def test_areas_tones_and_hair_are_of_what_lies_there():
    found = torch.zeros(1, len(REGIONS["face"]), 40, 80)
    names = list(REGIONS["face"])
    skin, hair = names.index("skin"), names.index("hair")
    found[0, skin], found[0, hair, :, :20] = 1.0, 1.0
    found[0, skin, :, :20] = 0.0
    count = len(names)
    areas = area_features(found)[0]
    assert areas[hair] ** 2 == pytest.approx(0.25)
    assert areas[count + hair] == pytest.approx(0.125, abs=1e-3)  # its middle, in widths from the left
    assert areas[2 * count + hair] == pytest.approx(0.25, abs=1e-3)
    assert areas[5 * count + hair] == pytest.approx(-2, abs=0.01)
    assert areas[5 * count + names.index("hat")] < -12
    assert areas[count + names.index("hat")] == pytest.approx(0.5, abs=1e-3)  # what is not there lies in the middle
    cells = map_features(found)[0].reshape(count, regions.CELLS, regions.CELLS)
    assert (cells[hair, :, :2] == 1).all()
    assert map_features(found / 4)[0].reshape(cells.shape)[hair, 0, 0] == pytest.approx(0.5)
    assert not cells[hair, :, 2:].any()
    pictures = torch.full((1, 3, 40, 80), 0.5)
    pictures[..., :20] = 0.0625
    tones = tone_features(found, pictures)[0].reshape(count, 3)
    assert tones[hair] == pytest.approx([-4, -4, -4], abs=0.05)
    assert tones[skin] == pytest.approx([-1, -1, -1], abs=0.05)
    points = np.array([[[0.45, 0.2], [0.55, 0.2], [0.5, 0.25], [0.5, 0.3]]])
    there = hair_features(found, points - np.array([0.4, 0]), names, 2.0)
    assert there.mean() > hair_features(found, points + np.array([0.3, 0]), names, 2.0).mean() + 0.2
    assert hair_features(found, points, list(REGIONS["eye"]), 2.0).shape == (1, 0)
