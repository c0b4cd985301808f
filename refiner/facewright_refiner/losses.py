"""SimGAN's losses, with their reductions stated, since a weight means nothing without them.

Adversarial losses are cross-entropies *summed over the patches* of a picture, as in the paper, and averaged over the
pictures of a batch. Averaged over the patches, the paper's SGD at 1e-3 would learn a hundred times slower.

Self-regularization is the mean |psi(refined) - psi(raw)| over all elements, times the number of patches. So its weight
`lam` weighs the mean change of an element against the cross-entropy of one patch, whatever the picture's size, and is
comparable between presets. (A weight w on an L1 *sum*, beside summed cross-entropies, is lam = w * elements / patches:
0.5 at 35 x 55 px is 7.6.) Pictures are (B, C, H, W) in [-1, 1], in which full contrast is 2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from facewright_refiner.networks import REAL, REFINED

Psi = Callable[[Tensor], Tensor]
"""What self-regularization sees of pictures."""
LOW_PASS = 5
"""Side in px of the box over which the psi `low-pass` averages; about the width of a pupil at 55 px."""


def refiner_loss(logits: Tensor) -> Tensor:
    """Return the refiner's adversarial loss: the cross-entropy of its pictures' patches with REAL, a scalar."""
    return _cross_entropy(logits, REAL)


def discriminator_loss(refined: Tensor, real: Tensor) -> Tensor:
    """Return the discriminator's loss from the logits (B, 2, h, w) of refined and real pictures, a scalar."""
    return _cross_entropy(refined, REFINED) + _cross_entropy(real, REAL)


def patch_accuracy(refined: Tensor, real: Tensor) -> Tensor:
    """Return the share of patches that are told rightly, both classes weighing the same."""
    right = (refined.argmax(1) == REFINED).float().mean() + (real.argmax(1) == REAL).float().mean()
    return right / 2


def self_regularization(psi: Psi, refined: Tensor, raw: Tensor, patches: int) -> Tensor:
    """Return the change that `psi` sees, as stated above, before its weight: a scalar."""
    return patches * (psi(refined) - psi(raw)).abs().mean()


def gradients(picture: Tensor) -> Tensor:
    """Return (B, n): the differences of horizontal and of vertical neighbours; blind to a constant."""
    return torch.cat([picture.diff(dim=-1).flatten(1), picture.diff(dim=-2).flatten(1)], dim=1)


def mean_colour(picture: Tensor) -> Tensor:
    """Return (B, 1, H, W), the mean of the channels; blind to hue. The paper's choice for colour pictures."""
    return picture.mean(1, keepdim=True)


def low_pass(picture: Tensor) -> Tensor:
    """Return (B, C, H-4, W-4), means over boxes of LOW_PASS px; blind to noise and fine texture."""
    return F.avg_pool2d(picture, LOW_PASS, stride=1)


def _identity(picture: Tensor) -> Tensor:
    return picture


PSI: dict[str, Psi] = {
    "identity": _identity,
    "gradients": gradients,
    "mean-colour": mean_colour,
    "low-pass": low_pass,
}
"""What of a picture refinement should keep; beside these there is a learned one, networks.Features."""


def _cross_entropy(logits: Tensor, target: int) -> Tensor:
    return -F.log_softmax(logits, dim=1)[:, target].sum((1, 2)).mean()


def relativistic(above: Tensor, below: Tensor) -> Tensor:
    """Return the loss of scores `above` that should be higher than their partners `below`: a mean, a scalar."""
    return F.softplus(below - above).mean()


def gradient_penalty(scores: Tensor, pictures: Sequence[Tensor]) -> Tensor:
    """Return the zero-centred penalty on the slope of mean scores (B, n): half its mean square per picture, a scalar.

    On real pictures it is R1, on refined ones R2 (Mescheder et al., ICML 2018).
    """
    slopes = torch.autograd.grad(scores.mean(1).sum(), list(pictures), create_graph=True)
    return torch.stack([slope.square().flatten(1).sum(1).mean() for slope in slopes]).sum() / 2


def squared_change(refined: Tensor, raw: Tensor, unit: float) -> Tensor:
    """Return the mean square change of pixels, and of the differences of neighbours, in `unit`s: a scalar."""
    change = (refined - raw) / unit
    return change.square().mean() + gradients(change).square().mean()
