"""SimGAN's losses against numbers computed by hand, with their reductions."""

import math

import pytest
import torch

from facewright_refiner import losses
from facewright_refiner.losses import PSI, discriminator_loss, patch_accuracy, refiner_loss, self_regularization


def logits(probability, shape=(1, 1)):
    """Return (1, 2, h, w) logits that give every patch `probability` of being refined."""
    return torch.stack([torch.zeros(1, *shape), torch.full((1, *shape), math.log(probability / (1 - probability)))], 1)


def test_the_refiner_pays_for_every_patch_that_looks_refined():
    assert refiner_loss(logits(0.8)).item() == pytest.approx(-math.log(0.2), rel=1e-5)
    assert refiner_loss(logits(0.8, (9, 14))).item() == pytest.approx(-126 * math.log(0.2), rel=1e-5)


def test_losses_are_summed_over_patches_and_averaged_over_pictures():
    pair = torch.cat([logits(0.8, (2, 3)), logits(0.3, (2, 3))])
    assert refiner_loss(pair).item() == pytest.approx(-6 * (math.log(0.2) + math.log(0.7)) / 2, rel=1e-5)


def test_the_discriminator_pays_for_refined_patches_as_real_and_real_ones_as_refined():
    found = discriminator_loss(refined=logits(0.8), real=logits(0.3)).item()
    assert found == pytest.approx(-math.log(0.8) - math.log(0.7), rel=1e-5)
    unsure = discriminator_loss(logits(0.5, (9, 14)), logits(0.5, (9, 14))).item()
    assert unsure == pytest.approx(126 * 2 * math.log(2), rel=1e-5)


def test_accuracy_weighs_both_classes_alike():
    assert patch_accuracy(logits(0.8, (4, 4)), logits(0.3)).item() == 1
    assert patch_accuracy(logits(0.8), logits(0.6)).item() == 0.5
    assert patch_accuracy(logits(0.1), logits(0.6)).item() == 0


def picture(*rows):
    return torch.tensor(rows)[None, None]


def test_self_regularization_is_the_mean_change_times_the_patches():
    raw, refined = picture([0.0, 1.0], [0.5, 0.5]), picture([0.2, 1.0], [0.5, 0.1])
    assert self_regularization(PSI["identity"], refined, raw, 126).item() == pytest.approx(126 * 0.6 / 4)
    assert self_regularization(PSI["identity"], refined.repeat(3, 1, 1, 1), raw.repeat(3, 1, 1, 1), 1).item() == (
        pytest.approx(0.15)
    )


def test_psi_gradients_by_hand():
    raw, refined = picture([0.0, 1.0], [0.5, 0.5]), picture([0.2, 1.0], [0.5, 0.1])
    # differences to the right: 1, 0 -> 0.8, -0.4; downwards: 0.5, -0.5 -> 0.3, -0.9
    assert self_regularization(PSI["gradients"], refined, raw, 1).item() == pytest.approx((0.2 + 0.4 + 0.2 + 0.4) / 4)


@pytest.mark.parametrize(
    ("psi", "blind_to", "sees"),
    [
        ("identity", None, 0.1),
        ("gradients", "a constant", None),
        ("mean-colour", "hue", None),
        ("low-pass", "a checkerboard", None),
    ],
)
def test_each_psi_is_blind_to_what_it_should_be_and_to_nothing_else(psi, blind_to, sees):
    raw = torch.rand(2, 3, 20, 24, generator=torch.Generator().manual_seed(1))
    board = (torch.arange(20)[:, None] + torch.arange(24)) % 2 * 2.0 - 1
    board = board - board.unfold(0, 5, 1).unfold(1, 5, 1).mean()
    changes = {
        "a constant": torch.full_like(raw, 0.1),
        "hue": torch.tensor([0.1, -0.2, 0.1])[:, None, None].expand_as(raw),
        "a checkerboard": 0.1 * board.expand_as(raw),
    }
    paid = {name: self_regularization(PSI[psi], raw + change, raw, 1).item() for name, change in changes.items()}
    for name, cost in paid.items():
        if name == blind_to:
            assert cost < 0.006, name
        elif not (psi, name) == ("gradients", "hue"):  # a constant in each channel
            assert cost > 0.05 or (psi == "mean-colour" and name == "hue"), (psi, name)
    if sees:
        assert paid["a constant"] == pytest.approx(sees, rel=1e-4)


def test_every_psi_passes_gradients_to_the_picture_and_is_zero_without_change():
    for psi in PSI:
        refined = torch.rand(1, 3, 12, 12, requires_grad=True)
        loss = losses.self_regularization(PSI[psi], refined, refined.detach() * 0.5, 126)
        loss.backward()
        assert (refined.grad.abs().sum((0, 2, 3)) > 0).all(), psi
        assert self_regularization(PSI[psi], refined.detach(), refined.detach(), 126).item() == 0
