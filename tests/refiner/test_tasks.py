"""Tasks: labels move with their pictures, networks learn what can be learnt, scores and intervals are what they say."""

import math

import numpy as np
import pytest
import torch

from facewright.errors import DatasetError, TrainingError, UserError
from facewright.schema import BISENET, CELEBAMASK_HQ, LAPA
from facewright.truth import direction
from facewright_refiner.readers import Entry, Labelled, Real
from facewright_refiner.tasks import Budget, marks, task_named, train
from facewright_refiner.tasks.adapters import learn
from facewright_refiner.tasks.augment import mirrored_ids, mirrored_points, with_angles, with_ids, with_points
from facewright_refiner.tasks.intervals import draws, interval
from facewright_refiner.tasks.networks import SmallResNet
from facewright_refiner.tasks.segmentation import IGNORE, SegmentationTask, common_classes, region_loss
from facewright_refiner.tasks.training import predict, seeded

EYE = ("background", "sclera", "iris", "pupil")


def real_of(items):
    return Real("made", [Entry(item.name, item.name, "", lambda item=item: item) for item in items])


def discs(count, size=32, seed=0):
    """Pictures of a bright disc in a grey field, with ids 0 and 1."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] + 0.5
    for number in range(count):
        cx, cy, r = *random.uniform(8, size - 8, 2), random.uniform(4, 8)
        inside = np.hypot(x - cx, y - cy) < r
        picture = np.where(inside[..., None], (220, 190, 160), (60, 70, 80)) + random.normal(0, 6, (size, size, 3))
        yield Labelled(f"{number}", picture.clip(0, 255).astype(np.uint8), seg=inside.astype(np.uint8))


# Augmentation


def test_class_ids_move_with_their_pictures():
    pictures = torch.full((6, 3, 48, 64), 0.1)
    ids = torch.zeros(6, 48, 64, dtype=torch.uint8)
    pictures[:, :, 12:22, 10:24], ids[:, 12:22, 10:24] = 0.9, 4
    pictures[:, :, 30:40, 44:58], ids[:, 30:40, 44:58] = 0.9, 5
    augment = with_ids(CELEBAMASK_HQ)
    flipped = 0
    for seed in range(3):
        with seeded(seed, "cpu"):
            seen, labels = augment(pictures, ids)
        bright = seen.mean(1) > 0.5
        agree = (bright == (labels > 0)).float().mean()
        assert agree > 0.97
        for part in labels:
            rows, columns = torch.nonzero(part == 4, as_tuple=True)
            other = torch.nonzero(part == 5, as_tuple=True)
            if len(rows) and len(other[0]):
                assert columns.float().mean() < other[1].float().mean()  # the subject's left stays on its side
                flipped += bool(rows.float().mean() > other[0].float().mean())
    assert flipped > 3


def test_landmarks_move_with_their_pictures():
    pictures = torch.zeros(8, 3, 60, 80)
    points = torch.rand(1, 68, 2, generator=torch.Generator().manual_seed(1)).repeat(8, 1, 1) * 0.3 + 0.35
    x, y = torch.meshgrid(torch.arange(80) + 0.5, torch.arange(60) + 0.5, indexing="xy")
    order = mirrored_points()
    for point in (30, 36):  # one on the axis, one with a twin
        spot = points[0, point] * torch.tensor([80.0, 60.0])
        pictures[:] = torch.exp(-((x - spot[0]) ** 2 + (y - spot[1]) ** 2) / 8)
        with seeded(point, "cpu"):
            seen, moved = with_points(order)(pictures, points)
        for picture, places in zip(seen, moved, strict=True):
            light = picture.mean(0) - picture.mean(0).median()
            light = light * (light > 0.4 * light.max())
            centre = torch.stack([(light * x).sum(), (light * y).sum()]) / light.sum()
            told = places[[point, order[point]]] * torch.tensor([80.0, 60.0])
            assert (told - centre).norm(dim=1).min() < 1.0


def test_mirroring_negates_yaw_alone():
    angles = torch.tensor([[0.1, 0.3]]).repeat(16, 1)
    pictures = torch.rand(16, 3, 36, 60)
    with seeded(0, "cpu"):
        _, found = with_angles()(pictures, angles)
    assert (found[:, 0] == angles[:, 0]).all()
    assert set(found[:, 1].tolist()) == {angles[0, 1].item(), -angles[0, 1].item()}


@pytest.mark.parametrize("classes", [CELEBAMASK_HQ, BISENET, LAPA, EYE])
def test_mirrored_ids_swap_sides_and_nothing_else(classes):
    table = mirrored_ids(classes)
    assert (table[table.long()] == torch.arange(256)).all()
    sided = {n for n in classes if n.startswith(("left_", "right_")) or n in ("l_eye", "r_eye", "l_brow", "r_brow")}
    sided |= {"l_ear", "r_ear"} & set(classes)
    moved = {name for value, name in enumerate(classes) if table[value] != value}
    assert moved == sided  # l_lip is the lower lip, ear_r an earring, neck_l a necklace


def test_mirrored_points_go_round():
    order = mirrored_points()
    assert sorted(order) == list(range(68))
    assert [order[n] for n in order] == list(range(68))
    assert [order[n] for n in (0, 8, 17, 27, 31, 36, 48, 60, 66)] == [16, 8, 26, 27, 35, 45, 54, 64, 66]


# Preparing


def test_pictures_are_cut_to_the_tasks_shape_with_their_labels():
    seg = np.zeros((40, 80), np.uint8)
    seg[:, 40:] = 1
    item = Labelled("wide", np.repeat(seg[..., None] * 200, 3, axis=2), seg=seg, gaze=np.array([0.1, 0.2]))
    data = task_named("eyeseg", edge=32).prepare(real_of([item]))
    assert data.pictures.shape == (1, 3, 24, 32)
    assert (data.targets[0, :, :15] == 0).all()
    assert (data.targets[0, :, 17:] == 1).all()
    assert (data.pictures[0, :, :, 18:] == 200).all()
    points = np.random.default_rng(0).uniform((20, 5), (60, 35), (68, 2))
    [place] = task_named("landmarks", edge=64).prepare(real_of([Labelled("p", item.picture, landmarks=points)])).targets
    assert place.min() > 0.05
    assert place.max() < 0.95
    spread = (place.max(0).values - place.min(0).values).max()
    assert spread == pytest.approx(1 / 1.3, abs=0.02)


def test_a_missing_label_is_named():
    item = Labelled("bare", np.zeros((8, 8, 3), np.uint8))
    for name, label in (("gaze", "gaze"), ("parsing", "class ids"), ("landmarks", "landmarks")):
        with pytest.raises(DatasetError, match=f"bare: has no .*{label}.*the task {name}"):
            task_named(name, classes=EYE).prepare(real_of([item]))
    with pytest.raises(DatasetError, match="no picture"):
        task_named("gaze").prepare(real_of([]))
    with pytest.raises(UserError, match=r"no task 'gase'.*gaze"):
        task_named("gase")


# Learning


def test_segmentation_learns_and_is_a_pure_function_of_its_seed():
    task = SegmentationTask(32, 32, ("background", "disc"), (1,), "eyeseg")
    data, test = task.prepare(real_of(discs(24))), task.prepare(real_of(discs(8, seed=1)))
    budget = Budget(steps=40, batch=6)
    net = train(task, data, budget, seed=0)
    scores = marks(task, net, test)
    assert task.score(scores.sum(0)) > 85
    again = train(task, data, budget, seed=0)
    assert torch.equal(predict(net, test.pictures), predict(again, test.pictures))
    other = train(task, data, Budget(steps=2, batch=6), seed=1)
    assert not torch.equal(predict(net, test.pictures), predict(other, test.pictures))


@pytest.mark.parametrize("net", ["lenet", "resnet"])
def test_gaze_learns_where_a_pupil_lies(net):
    def eyes(count, seed):
        random = np.random.default_rng(seed)
        y, x = np.mgrid[:36, :60] + 0.5
        for number in range(count):
            pitch, yaw = random.uniform(-0.3, 0.3, 2)
            dark = np.hypot(x - 30 + 40 * math.sin(yaw), y - 18 + 25 * math.sin(pitch)) < 6
            yield Labelled(
                f"{number}", np.where(dark[..., None], 20, 200).astype(np.uint8).repeat(3, 2), gaze=[pitch, yaw]
            )

    task = task_named("gaze", net=net)
    found = train(task, task.prepare(real_of(eyes(48, 0))), Budget(steps=70, batch=12, rate=2e-3), seed=0)
    test = task.prepare(real_of(eyes(24, 1)))
    error = task.score(marks(task, found, test).sum(0))
    idle = task.score(task.marks(torch.zeros(24, 2), test.targets).sum(0))
    assert error < 0.7 * idle


def test_a_divergence_is_said():
    task = SegmentationTask(32, 32, ("background", "disc"), (1,))
    data = task.prepare(real_of(discs(6)))
    with pytest.raises(TrainingError, match="diverged"):
        train(task, data, Budget(steps=20, batch=4, rate=float("inf")), seed=0)


def test_the_landmark_network_gives_points():
    task = task_named("landmarks", edge=32)
    net = task.network()
    assert net(torch.zeros(2, 3, 32, 32)).shape == (2, 68, 2)
    assert isinstance(net[0], SmallResNet)


# Scores


def test_gaze_scores_are_angles_between_directions():
    task = task_named("gaze")
    random = np.random.default_rng(0)
    a, b = random.uniform(-0.6, 0.6, (2, 20, 2))
    wanted = [math.degrees(math.acos(direction(*p) @ direction(*q))) for p, q in zip(a, b, strict=True)]
    table = task.marks(torch.from_numpy(a), torch.from_numpy(b))
    np.testing.assert_allclose(table[:, 0], wanted, atol=1e-6)
    assert task.score(table.sum(0)) == pytest.approx(np.mean(wanted))
    told = task.details(table.sum(0))
    assert told["below 7 degrees, %"] == pytest.approx(100 * np.mean(np.array(wanted) < 7))
    assert told["yaw bias, degrees"] == pytest.approx(np.degrees((a - b)[:, 1].mean()))


def test_segmentation_scores_are_dice_over_all_pixels():
    task = SegmentationTask(2, 4, EYE, (1, 2), "eyeseg")
    truth = torch.tensor([[[0, 1, 1, 2], [0, 0, 255, 2]]], dtype=torch.uint8)
    found = torch.tensor([[[0, 1, 2, 2], [0, 0, 1, 0]]])
    logits = torch.nn.functional.one_hot(found, 4).permute(0, 3, 1, 2).float()
    sums = task.marks(logits, truth).sum(0)
    f1 = 100 * 2 / 3, 50.0  # sclera: found 1 of 2; iris: 1 right, 1 wrong, 1 missed
    assert task.score(sums) == pytest.approx(np.mean(f1))
    told = task.details(sums)
    assert (told["sclera"], told["iris"]) == tuple(map(pytest.approx, f1))
    assert told["mean IoU"] == pytest.approx(100 * (1 / 2 + 1 / 3) / 2)
    assert common_classes(torch.stack([truth[0], truth[0] * 0]), EYE) == ()


def test_the_loss_weighs_pixels_of_small_classes_by_the_fourth_root_of_their_share():
    """By hand: one pixel in sixteen known ones weighs 15 ** 0.25 times as much as each of the others."""
    ids = torch.zeros(1, 4, 8, dtype=torch.uint8)
    ids[0, 0, 0] = 1
    ids[0, :, 4:] = IGNORE
    logits = torch.randn(1, 2, 4, 8, generator=torch.Generator().manual_seed(0))
    odds = np.exp(logits.numpy()[0, :, :, :4].reshape(2, 16).astype(float))
    given = odds / odds.sum(0)
    truth = ids[0, :, :4].flatten().numpy()
    weight = np.where(truth == 1, 15**0.25, 1.0)
    entropy = -(weight * np.log(given[truth, np.arange(16)])).sum() / weight.sum()
    dice = [2 * given[n][truth == n].sum() / (given[n].sum() + (truth == n).sum()) for n in (0, 1)]
    assert region_loss(logits, ids).item() == pytest.approx(entropy + 1 - np.mean(dice), rel=1e-4)


def test_landmark_scores_are_over_the_outer_eye_corners():
    task = task_named("landmarks")
    truth = torch.zeros(2, 68, 2)
    truth[:, 45, 0] = 0.5
    found = truth + torch.tensor([0.03, 0.04])
    assert task.score(task.marks(found, truth).sum(0)) == pytest.approx(10.0, abs=1e-3)


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    random = np.random.default_rng(0)
    hits = 0
    for trial in range(40):
        groups = np.repeat(np.arange(30), 3)
        values = random.normal(5, 1, 30)[groups] + random.normal(0, 0.5, (2, 90)) + random.normal(0, 0.05, (2, 1))
        table = np.stack([values, np.ones_like(values)], axis=-1)
        found = interval(
            draws({"a": table}, [str(g) for g in groups], lambda s: s[..., 0] / s[..., 1], trial, 200)["a"]
        )
        hits += found.low < 5 < found.high
        assert found.low < found.value < found.high
    assert 32 <= hits <= 40


def test_differences_of_rows_are_paired():
    random = np.random.default_rng(0)
    hard = random.normal(5, 2, 60)
    luck = random.normal(0, 1, (3, 1))
    rows = {name: np.stack([hard + shift + luck, np.ones((3, 60))], -1) for name, shift in (("a", 0.0), ("b", 0.5))}
    found = draws(rows, [str(n) for n in range(60)], lambda sums: sums[..., 0] / sums[..., 1])
    alone, difference = interval(found["a"]), interval(found["b"] - found["a"])
    assert alone.high - alone.low > 0.5
    assert difference.high - difference.low < 1e-6


# Label adapters


def test_an_adapter_learns_another_line_from_a_few_pictures():
    task = SegmentationTask(32, 32, ("background", "disc"), (1,), "eyeseg")
    items = list(discs(20))
    truth = task.prepare(real_of(items)).targets
    wide = torch.nn.functional.max_pool2d(truth[:, None].float(), 5, 1, 2)[:, 0].to(torch.uint8)  # two px outward
    logits = torch.nn.functional.one_hot(truth.long(), 2).permute(0, 3, 1, 2).float() * 8
    adapt = learn(task, logits[:12], wide[:12], Budget(steps=400), seed=0)
    before = task.score(task.marks(logits[12:], wide[12:]).sum(0))
    after = task.score(task.marks(adapt(logits[12:]), wide[12:]).sum(0))
    assert before < 85
    assert after > 95


def test_gaze_and_landmark_adapters_find_a_constant_offset():
    random = torch.Generator().manual_seed(0)
    angles = torch.randn(40, 2, generator=random) * 0.2
    adapt = learn(task_named("gaze"), angles, angles + torch.tensor([0.02, 0.09]), Budget(), seed=0)
    assert (adapt(angles) - angles - torch.tensor([0.02, 0.09])).abs().max() < 0.02
    task = task_named("landmarks")
    points = torch.rand(40, 68, 2, generator=random)
    turn = torch.tensor([[0.0, -1.0], [1.0, 0.0]])
    axis = points[:, 45] - points[:, 36]
    moved = points + 0.1 * (axis @ turn)[:, None]
    better = learn(task, points, moved, Budget(), seed=0)(points)
    assert (better - moved).norm(dim=-1).max() < 0.2 * (points - moved).norm(dim=-1).max()
