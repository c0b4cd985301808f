"""The history: half of a batch from it once it can, random replacement when full, and a state that is all there is."""

import torch

from facewright_refiner.pool import HistoryPool

SHAPE = (1, 2, 2)


def batch(first, count=4):
    return torch.arange(first, first + count).float()[:, None, None, None].expand(count, *SHAPE).contiguous()


def values(pictures):
    return pictures[:, 0, 0, 0].tolist()


def test_the_first_batch_passes_and_half_of_it_is_remembered():
    pool = HistoryPool(10, SHAPE, seed=0)
    assert values(pool.mix(batch(0))) == [0, 1, 2, 3]
    assert pool.count == 2
    assert values(pool.pictures[:2]) == [0, 1]


def test_then_half_of_a_batch_is_fresh_and_half_from_the_past():
    pool = HistoryPool(10, SHAPE, seed=0)
    pool.mix(batch(0))
    mixed = values(pool.mix(batch(10)))
    assert mixed[:2] == [10, 11]
    assert sorted(mixed[2:]) == [0, 1]


def test_a_full_pool_replaces_half_a_batch_of_random_pictures():
    pool = HistoryPool(6, SHAPE, seed=0)
    for n in range(3):
        pool.mix(batch(10 * n))
    assert values(pool.pictures) == [0, 1, 10, 11, 20, 21]
    places = set()
    for n in range(3, 30):
        before = values(pool.pictures)
        pool.mix(batch(10 * n))
        changed = [k for k, (a, b) in enumerate(zip(before, values(pool.pictures), strict=True)) if a != b]
        assert sorted(values(pool.pictures)[k] for k in changed) == [10 * n, 10 * n + 1]
        places |= {*changed}
    assert pool.count == 6
    assert places == {*range(6)}


def test_the_past_is_drawn_from_all_of_the_pool_without_repeats():
    pool = HistoryPool(6, SHAPE, seed=0)
    drawn = set()
    for n in range(12):
        there = values(pool.pictures[: pool.count])
        past = values(pool.mix(batch(10 * n)))[2:]
        if n:
            assert len({*past}) == 2
            drawn |= {there.index(value) for value in past}
    assert drawn == {*range(6)}


def test_a_pool_smaller_than_half_a_batch_never_overflows():
    pool = HistoryPool(3, SHAPE, seed=0)
    assert values(pool.mix(batch(0, 8))) == [*range(8)]
    assert pool.count == 3
    assert len(pool.mix(batch(10, 8))) == 8
    assert pool.count == 3


def test_an_odd_batch_keeps_its_size():
    pool = HistoryPool(9, SHAPE, seed=0)
    pool.mix(batch(0, 5))
    assert values(pool.mix(batch(10, 5)))[:3] == [10, 11, 12]


def test_a_restored_pool_goes_on_as_the_other():
    one, two = HistoryPool(6, SHAPE, seed=5), HistoryPool(6, SHAPE, seed=5)
    for n in range(7):
        one.mix(batch(10 * n))
    two.restore(*one.state())
    for n in range(7, 12):
        assert torch.equal(one.mix(batch(10 * n)), two.mix(batch(10 * n)))
    assert torch.equal(one.pictures, two.pictures)


def test_remembered_pictures_carry_no_graph():
    pool = HistoryPool(6, SHAPE, seed=0)
    pool.mix(batch(0).requires_grad_())
    assert not pool.pictures.requires_grad
