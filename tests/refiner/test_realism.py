"""The judges of realism: zero for the same, small for two halves of one set, growing with what is wrong."""

import numpy as np
import pytest
import torch

from facewright.errors import UserError
from facewright_refiner import realism, sensor
from facewright_refiner.parameters import neutral
from facewright_refiner.realism import Reference, interval, kernel_distance, scores, two_sample


def pictures(make_frame, first, count):
    light = np.stack([make_frame(n, 48, 40).linear for n in range(first, first + count)])
    return sensor.apply(torch.from_numpy(light).permute(0, 3, 1, 2), [neutral()] * count)


@pytest.fixture(scope="module")
def sets(make_frame):
    return pictures(make_frame, 0, 40), pictures(make_frame, 40, 40)


def test_a_set_is_at_distance_zero_of_itself(sets):
    assert max(Reference(sets[0]).distances(sets[0]).flat()) < 1e-6


def test_two_halves_are_nearer_than_a_changed_set(sets):
    reference = Reference(sets[0])
    floor = np.array(reference.distances(sets[1]).flat())
    blurred = sensor.spread(sets[1], sensor._gaussian(1.5).float())
    far = np.array(reference.distances((blurred * 0.7).clamp(0, 1)).flat())
    assert (far > 1.5 * floor).all()


def test_each_distance_sees_its_own_flaw(sets):
    reference = Reference(sets[0])
    floor = reference.distances(sets[1])
    noise = torch.randn(sets[1].shape, generator=torch.Generator().manual_seed(1))
    noisy = reference.distances((sets[1] + 0.05 * noise).clamp(0, 1))
    assert noisy.swd[0] > 3 * floor.swd[0]
    assert noisy.psd > 3 * floor.psd
    red = sets[1] * torch.tensor([1.0, 0.8, 0.8])[:, None, None]
    assert reference.distances(red).lab > 3 * floor.lab


def test_grain_is_noise_and_not_edges():
    x = torch.linspace(0, 1, 60)
    smooth = (0.4 + 0.2 * x).expand(1, 3, 48, 60)
    edges = smooth.clone()
    edges[..., 20:24, :] = 0.9  # in less than a quarter of the boxes
    noisy = smooth + 0.02 * torch.randn(1, 1, 48, 60, generator=torch.Generator().manual_seed(1))
    (calm, cut, grained) = (realism.tone_statistics(one)[0] for one in (smooth, edges, noisy))
    assert float(cut[2] - calm[2]) > 1  # sharper by more than a factor of ten
    assert float(cut[3] - calm[3]) < 0.001
    assert float(grained[3] - calm[3]) == pytest.approx(0.017, abs=0.003)  # what of white noise is fine, calmer boxes


def test_white_noise_has_a_flat_spectrum():
    noise = torch.randn(30, 1, 64, 64, generator=torch.Generator().manual_seed(1)).expand(30, 3, 64, 64)
    spectrum = realism.radial_psd(noise).mean(0)
    assert spectrum.shape == (32,)
    assert float(spectrum[2:].max() - spectrum[2:].min()) < 0.15
    assert float(spectrum[10:].mean()) == pytest.approx(0, abs=0.05)


def test_kernel_distance_by_hand_without_bias_and_rising_with_what_differs():
    random = np.random.default_rng(5)
    a, b = random.standard_normal((4, 3)), random.standard_normal((5, 3))

    def mean(x, y):
        pairs = [(u @ v / 3 + 1) ** 3 for n, u in enumerate(x) for m, v in enumerate(y) if x is not y or n != m]
        return sum(pairs) / len(pairs)

    found = kernel_distance(torch.from_numpy(a), torch.from_numpy(b))
    assert found == pytest.approx(mean(a, a) + mean(b, b) - 2 * mean(a, b), rel=1e-9)
    drawn = torch.from_numpy(random.standard_normal((400, 60, 8)))
    equal = [kernel_distance(x[:30], x[30:]) for x in drawn]
    assert abs(np.mean(equal)) < 3 * np.std(equal) / 20, "it has a bias"
    near, far = (np.mean([kernel_distance(x[:30], x[30:] + step) for x in drawn[:20]]) for step in (0.2, 0.5))
    assert 3 * np.std(equal) / np.sqrt(20) < near < far / 3


@pytest.mark.parametrize("judge", ["features", "cnn"])
def test_judges_tell_what_differs_and_not_what_does_not(sets, judge):
    same = two_sample(*sets, judge=judge)
    noise = torch.randn(sets[1].shape, generator=torch.Generator().manual_seed(1))
    different = two_sample(sets[0], (sets[1] + 0.08 * noise).clamp(0, 1), judge=judge)
    assert same.accuracy < 0.72
    assert different.accuracy > 0.85
    assert different.auc > 0.95
    assert 0 < different.se < 0.1


def test_a_test_is_deterministic(sets):
    assert two_sample(*sets, judge="cnn", seed=3) == two_sample(*sets, judge="cnn", seed=3)


def test_an_interval_is_of_people_not_of_pictures(sets):
    score, label, keys = scores(*sets)
    assert (len(score), int(label.sum()), len(set(keys))) == (80, 40, 80)
    label = torch.arange(160) >= 80
    person = torch.arange(160) // 4
    score = torch.randn(40, generator=torch.Generator().manual_seed(0))[person] + label  # four like pictures of each
    one_each = interval(score[::4], label[::4].float(), [str(n) for n in range(40)])
    together = interval(score, label.float(), [str(int(n)) for n in person])
    apart = interval(score, label.float(), [str(n) for n in range(160)])
    assert together == pytest.approx(one_each, abs=0.02), "pictures of one person tell nothing new"
    assert apart[1] - apart[0] < 0.7 * (together[1] - together[0])
    wins = score[label][:, None] > score[~label]
    assert together[0] < wins.float().mean() < together[1]


def test_groups_are_never_split():
    fold = realism._fold_of([f"0/{n // 4}" for n in range(40)] + [f"1/{n // 4}" for n in range(40)], 40, 5, 0)
    for start in range(0, 80, 4):
        assert len(set(fold[start : start + 4].tolist())) == 1
    assert sorted(torch.bincount(fold).tolist()) == [16] * 5


def test_too_few_pictures_or_a_wrong_judge_are_refused(sets):
    with pytest.raises(UserError, match="needs 10 pictures of each kind, got 3"):
        two_sample(sets[0][:3], sets[1])
    with pytest.raises(UserError, match="is not one of features, cnn"):
        two_sample(*sets, judge="eye")
