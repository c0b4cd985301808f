"""Key points that move with their picture, regressions that generalise; estimates by who has not seen the picture."""

import numpy as np
import pytest
import torch
from PIL import Image

from facewright import Recipe, sample
from facewright.errors import DatasetError, UserError
from facewright.mock import MockRenderer
from facewright_refiner import closeups, estimators, keypoints
from facewright_refiner.estimators import FIELD, LABELS, SHIFTS, fit_estimators, labels_in_crop, ridge
from facewright_refiner.pictures import read_files

QUIET = {"log": lambda text: None}


def dots(count, seed):
    """Return pictures (N, 3, 48, 64) of one bright disc for each of a face's points, and the points in widths."""
    random = np.random.default_rng(seed)
    middle = random.uniform(0.35, 0.65, (count, 1, 2)) * (1, 0.75)
    points = middle + 0.08 * np.random.default_rng(0).normal(size=(1, 19, 2)) * random.uniform(0.7, 1.3, (count, 1, 1))
    y, x = (np.mgrid[:48, :64] + 0.5) / 64
    away = ((points[:, :, 0, None, None] - x) ** 2 + (points[:, :, 1, None, None] - y) ** 2) / 0.02**2
    light = torch.from_numpy(np.exp(-away).max(1)).float()[:, None].expand(-1, 3, -1, -1)
    return 0.2 + 0.7 * light, points


def test_points_turn_with_their_picture():
    y, x = (np.mgrid[:48, :64] + 0.5) / 64
    points = np.array([[[0.4, 0.3]], [[0.6, 0.5]]])
    picture = torch.from_numpy(np.exp(-((points[..., 0, None] - x) ** 2 + (points[..., 1, None] - y) ** 2) / 0.03**2))
    pictures = picture[:, None].float().expand(-1, 3, -1, -1)
    ids = (picture[:, None] > 0.5).float()
    views, moved, there = keypoints._turned(
        pictures, torch.from_numpy(points).float(), ids, keypoints.WHOLE, np.random.default_rng(1)
    )
    assert float(((there > 0.5) == (views[:, :1] > 0.5)).float().mean()) > 0.98  # ids turn along
    weight = views[:, 0].double() ** 4
    for n in range(2):
        found = [float((weight[n] * torch.from_numpy(axis)).sum() / weight[n].sum()) for axis in (x, y)]
        assert found == pytest.approx(moved[n, 0].tolist(), abs=0.01)


@pytest.mark.parametrize(("scene", "recipe"), [("face", "face"), ("eye", "eye_rgb")])
def test_points_lie_in_the_picture_and_mirror_onto_each_other(scene, recipe):
    drawn = sample(Recipe.load(recipe), 0, 0).replace({"image.width": 64, "image.height": 48})
    with MockRenderer() as render:
        points = keypoints.points_of(render(drawn, ()))
    swap = keypoints.mirrored(scene)
    assert points.shape == (len(swap), 2)
    assert [swap[n] for n in swap] == list(range(len(swap)))
    inside = ((points > 0) & (points < (64, 48))).all(1)
    assert inside.mean() > 0.8
    # what changes places in the mirror lies on two sides, roughly at one height
    mirror = points[swap] * (-1, 1) + (64, 0)
    assert np.abs((mirror - mirror.mean(0)) - (points - points.mean(0))).mean() < 8


def test_a_finder_learns_where_discs_are(monkeypatch):
    pictures, points = dots(48, 1)
    unseen, known = dots(12, 2)
    monkeypatch.setattr(keypoints, "STEPS", 50)
    network = keypoints.train_finder(pictures, points, "face", 0)
    error = np.linalg.norm(keypoints.find(network, unseen, "face").points - known, axis=-1).mean()
    baseline = np.linalg.norm(known - points.mean(0), axis=-1).mean()
    assert error < 0.75 * baseline


def turned(points, degrees, zoom, shift):
    """Return points (P, 2) turned about the picture's middle, scaled and shifted."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return zoom * (points - 0.5) @ np.array([[c, s], [-s, c]]) + 0.5 + shift


@pytest.mark.parametrize("scene", ["face", "eye"])
def test_a_close_up_shows_the_same_wherever_and_however_large_it_lies(scene):
    swap = keypoints.mirrored(scene)
    half = np.random.default_rng(0).uniform(0.42, 0.58, (len(swap), 2))
    upright = (half + half[swap] * (-1, 1) + (1, 0)) / 2  # its own mirror image
    upright[[n for n, other in enumerate(swap) if n < other], 0] -= 0.08
    upright[[n for n, other in enumerate(swap) if n > other], 0] += 0.08
    changes = [(0, 1, 0), (35, 1, 0.1), (-50, 0.6, (-0.1, -0.2)), (10, 1.5, 0)]
    points = np.stack([turned(upright, *change) for change in changes])
    places = closeups.places_of(points, scene)
    found = closeups.moved(points, places)
    middle = upright.mean(0)
    size = np.sqrt(((upright - middle) ** 2).sum(1).mean() / 2)
    as_it_is = 0.5 + (upright - middle) / (2 * closeups.REACH * size)
    assert np.allclose(found, as_it_is, atol=1e-9)
    fallen = turned(upright, 170, 1, 0)[None]  # more likely is a picture that stands on its feet
    assert np.allclose(closeups.moved(fallen, closeups.places_of(fallen, scene)), 1 - as_it_is)
    one = np.full((1, len(swap), 2), 0.4)
    assert np.isfinite(closeups.closeups(torch.zeros(1, 3, 20, 30), closeups.places_of(one, scene)).numpy()).all()
    # what lies at a point lies there in the close-up, whatever the picture's shape
    y, x = (np.mgrid[:120, :160] + 0.5) / 160
    away = (points[:, 8, 0, None, None] - x) ** 2 + (points[:, 8, 1, None, None] - y) ** 2
    discs = torch.from_numpy(np.exp(-away / 0.02**2))[:, None].float()
    near = closeups.closeups(discs, places)[:, 0].double().numpy()
    edge = near.shape[-1]
    assert near.shape == (4, edge, edge)
    across, down = (np.einsum(how, near**4, (np.arange(edge) + 0.5) / edge) for how in ("nhw,w->n", "nhw,h->n"))
    weight = (near**4).sum((1, 2))
    assert np.stack([across / weight, down / weight], 1) == pytest.approx(found[:, 8], abs=0.02)
    # the close-up of a mirror image is the mirror image of the close-up
    mirrored = points[:, swap] * (-1, 1) + (1, 0)
    again = closeups.closeups(discs.flip(-1), closeups.places_of(mirrored, scene)).flip(-1)
    assert np.allclose(again[:, 0].numpy(), near, atol=1e-3)
    ids = closeups.closeups((discs > 0.5) * 7.0, places, "nearest")
    assert set(ids.unique().tolist()) == {0.0, 7.0}


class Bright(torch.nn.Module):
    """A finder for which every point of a face lies where the picture is bright."""

    edge = 64

    def forward(self, pictures):
        heat = (20 * pictures[:, :1]).flatten(2).log_softmax(2).view_as(pictures[:, :1])
        return heat.expand(-1, 19, -1, -1), torch.zeros(len(pictures), 0, *pictures.shape[-2:])


def test_points_are_right_in_pictures_whose_edges_are_no_multiples_of_eight(monkeypatch):
    y, x = (np.mgrid[:218, :178] + 0.5) / 178
    disc = torch.from_numpy(np.exp(-((x - 0.4) ** 2 + (y - 1.1) ** 2) / 0.05**2)).float().expand(1, 3, -1, -1)
    found = keypoints.find(Bright(), disc, "face").points[0]
    assert np.abs(found - (0.4, 1.1)).max() < 0.01
    given = []

    def turned(pictures, points, ids, views, random):
        given.append((pictures, points))
        return pictures, points, ids

    monkeypatch.setattr(keypoints, "_turned", turned)
    keypoints.train_finder(disc, np.full((1, 19, 2), (0.4, 1.1)), "face", 0, 1)
    shown, points = given[0]
    weight = shown[0, 0] ** 4
    rows = (weight.sum(1) * (torch.arange(len(weight)) + 0.5)).sum() / weight.sum() / weight.shape[1]
    assert float(points[0, 0, 1]) == pytest.approx(float(rows), abs=0.01)


def test_what_is_left_out_is_as_if_it_had_not_been_there():
    random = np.random.default_rng(0)
    half = np.where(random.random((20, 90)) < 0.1, random.exponential(size=(20, 90)), 0.0)  # sparse: much is cut
    features = np.concatenate([half, half[:, ::-1]])
    x = np.clip((features - features.mean(0)) / (features.std(0) + 1e-6), -estimators.FARTHEST, estimators.FARTHEST)
    x -= x.mean(0)
    y = random.normal(size=(40, 1))
    y -= y.mean(0)
    u, s, _ = np.linalg.svd(x, full_matrices=False)
    for strength in (1.0, 100.0):
        found = estimators._left_out(u, s**2 / (s**2 + strength), y, 2)
        for n in range(20):
            rest = np.setdiff1d(np.arange(40), [n, n + 20])
            a, b = x[rest] - x[rest].mean(0), y[rest] - y[rest].mean(0)
            weights = np.linalg.solve(a.T @ a + strength * np.eye(90), a.T @ b)
            told = (x[[n, n + 20]] - x[rest].mean(0)) @ weights + y[rest].mean(0)
            assert found[[n, n + 20]] == pytest.approx(y[[n, n + 20]] - told, abs=1e-3)
    fitted = ridge(features, y, twins=True)  # noise: nothing is to be learnt
    assert fitted(features).std() < 0.5 * y.std()
    assert float(fitted(features).mean()) == pytest.approx(0, abs=1e-9)


def test_a_ridge_regression_chooses_what_generalises():
    random = np.random.default_rng(0)
    features = random.normal(size=(80, 60))
    signal = features[:, :1] @ [[3.0]] + 0.1 * random.normal(size=(80, 1))
    labels = np.hstack([signal, random.normal(size=(80, 1))])
    fitted = ridge(features, labels)
    unseen = random.normal(size=(200, 60))
    assert np.corrcoef(fitted(unseen)[:, 0], unseen[:, 0])[0, 1] > 0.95
    assert fitted(unseen)[:, 1].std() < 0.5  # noise is not fitted


def test_a_mirror_image_is_left_out_with_its_picture():
    random = np.random.default_rng(0)
    half = random.normal(size=(40, 100))
    features = np.concatenate([half, half + 0.01 * random.normal(size=half.shape)])
    noise = np.tile(random.normal(size=(40, 1)), (2, 1))  # a twin tells it, nothing else does
    unseen = random.normal(size=(200, 100))
    assert ridge(features, noise, twins=True)(unseen).std() < 0.5 * ridge(features, noise)(unseen).std()


def test_what_no_training_picture_had_does_not_decide_alone():
    random = np.random.default_rng(0)
    features = random.normal(size=(60, 3))
    features[:, 2] *= 1e-5
    fitted = ridge(features, features @ [[1.0], [0.0], [1e4]])
    strange = np.array([[0.0, 0.0, 1.0]])  # 100,000 deviations away
    assert abs(fitted(strange)[0, 0]) < 1


def test_each_label_is_read_from_the_columns_that_tell_it():
    random = np.random.default_rng(0)
    features = random.normal(size=(60, 30))
    labels = np.stack([features[:, 2], features[:, 25]], axis=1) + 0.05 * random.normal(size=(60, 2))
    fitted = ridge(features, labels, [np.arange(10), np.arange(20, 30)])
    assert not fitted.weights[10:, 0].any()
    assert not fitted.weights[:20, 1].any()
    unseen = random.normal(size=(100, 30))
    assert np.corrcoef(fitted(unseen)[:, 1], unseen[:, 25])[0, 1] > 0.95


def test_labels_of_the_framing_follow_a_crop():
    labels = np.zeros((1, len(LABELS)))
    columns = list(LABELS)
    labels[0, columns.index(FIELD)], labels[0, columns.index(SHIFTS[0])] = np.log2(300), 0.1
    found = labels_in_crop(labels, np.array([0.5]))
    assert 2 ** found[0, columns.index(FIELD)] == pytest.approx(150)
    assert found[0, columns.index(SHIFTS[0])] == pytest.approx(0.2)


def test_estimates_are_by_readers_that_have_not_seen_the_person(monkeypatch):
    monkeypatch.setattr(keypoints, "STEPS", 40)
    pictures, points = dots(66, 3)
    known = np.zeros((66, len(LABELS)))
    known[:, list(LABELS).index(SHIFTS[0])] = points.mean(1)[:, 0] - 0.5
    known[:, list(LABELS).index("age")] = np.random.default_rng(0).normal(size=66)  # not to be seen
    people = [str(n // 2) for n in range(66)]
    fold = estimators._folds(people, 0)
    assert all(fold[n] == fold[n + 1] for n in range(0, 66, 2))
    seen, told = [], []
    train, regress = estimators._trained, estimators._regression
    monkeypatch.setattr(estimators, "_trained", lambda *given: seen.append(given) or train(*given))
    monkeypatch.setattr(estimators, "_regression", lambda *given: told.append(given) or regress(*given))
    light = (pictures[:, 0] > 0.5).to(torch.uint8)  # skin, before a background
    found = fit_estimators(pictures, points, known, people, "face", regions=light, **QUIET)
    age = list(LABELS).index("age")
    for n in range(3):
        others = fold != n
        assert torch.equal(seen[n][0], pictures[torch.from_numpy(others)])
        assert np.array_equal(seen[n][1], points[others])
        assert torch.equal(seen[n][-1], light[torch.from_numpy(others)])
        assert sorted(told[n][2][:, age]) == sorted([*known[others, age]] * 2)
    scores = dict(zip(LABELS, found.scores, strict=True))
    assert scores[SHIFTS[0]] > 0.5
    assert scores["age"] < 0.1
    assert scores["gaze yaw"] == 0
    assert np.allclose(found.estimates[fold == 1], found.readers[1].read(pictures[torch.from_numpy(fold == 1)]))
    mirrored = found.readers[0].read(pictures.flip(-1))[:, list(LABELS).index(SHIFTS[0])]
    assert np.allclose(mirrored, -found.readers[0].read(pictures)[:, list(LABELS).index(SHIFTS[0])], atol=1e-5)
    networks = found.readers[0].networks
    one, other = networks.look(pictures.flip(-1)), networks.look(pictures).mirrored
    both = [estimators.features_of(looks) for looks in (one, other)]
    assert {"near points", "near areas", "near map", "near tones"} <= {*both[0].groups}
    assert np.allclose(both[0].all, both[1].all, atol=5e-3)
    with pytest.raises(UserError, match="60 labelled renders at the very least, got 10; render more"):
        fit_estimators(pictures[:10], points[:10], known[:10], people[:10], "face", **QUIET)


def test_large_pictures_are_seen_whole_and_damaged_ones_are_named(tmp_path):
    wide = np.zeros((100, 1600, 3), np.uint8)
    wide[:, :20] = 255  # at the very edge
    Image.fromarray(wide).save(tmp_path / "wide.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    found = read_files(sorted(tmp_path.iterdir()))
    assert [image.shape for image in found.images] == [(32, 512, 3)]
    assert found.images[0][:, 2].min() > 200
    assert len(found.unreadable) == 1
    assert "broken.png" in found.unreadable[0]
    with pytest.raises(DatasetError, match="none of 1 real pictures can be read"):
        read_files([tmp_path / "broken.png"])
