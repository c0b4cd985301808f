"""Refiners without training: colours, histograms or low frequencies of real pictures, put on renders.

Each frame takes them from one real picture: of a few, drawn by its seed and index, that whose colours are nearest to
its own. Reinhard and histograms work pixel by pixel; FDA adds waves, none shorter than 1 / BETA px. So edges stay
where they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from kornia.color import lab_to_rgb, rgb_to_lab
from kornia.contrib import histogram_matching
from torch import Tensor

from facewright.errors import AssetError
from facewright.refining import TRANSFERS
from facewright.render import Frame
from facewright.rng import stream
from facewright_refiner.learned import Changing
from facewright_refiner.pictures import read_pictures

MOST = 500
"""Real pictures that are kept to choose from."""
LARGEST = 512
DRAWN = 8
"""Real pictures that a frame has the choice of. With one, dark pictures come on bright renders and look like neither;
with all, renders would hardly change (parsers trained on them: benchmarks/gap/README.md)."""
GRID = 128
"""Pixels along the shorter side, and up to twice as many, that a picture's colours are taken from: more cost time."""
BETA = 0.03
"""FDA replaces frequencies up to this, in cycles per px: within the paper's 0.01 to 0.09, more shows as halos."""


def is_transfer(spec: str) -> bool:
    """Return whether `spec` is one of TRANSFERS and a folder."""
    return spec.partition(":")[0] in TRANSFERS and ":" in spec


class TransferRefiner(Changing):
    """Statistics of real pictures put on frames: "reinhard:DIR", "fda:DIR" or "histogram:DIR"."""

    def __init__(self, spec: str) -> None:
        kind, _, folder = spec.partition(":")
        if not folder:
            raise AssetError(f"{spec}: names no folder of real pictures; write {kind}:DIR")
        found = read_pictures(folder, MOST, largest=LARGEST)
        super().__init__(kind, {"kind": "transfer", "pictures": found.fingerprint})
        self.real = found.images
        self.colours = np.stack([colours(image) for image in self.real])
        self.transfer = METHODS[kind]

    def images(self, frames: Sequence[Frame], strength: float) -> list[np.ndarray]:
        """Return the refined pictures (H, W, 3) uint8 of frames."""
        return [transferred(self.transfer, frame.layers["rgb"], self._real_of(frame), strength) for frame in frames]

    def _real_of(self, frame: Frame) -> np.ndarray:
        """Return the real picture for a frame."""
        drawn = stream(frame.sample.seed, frame.sample.index, "refiner.transfer").permutation(len(self.real))[:DRAWN]
        away = np.square(self.colours[drawn] - colours(frame.layers["rgb"])).sum(axis=1)
        return self.real[int(drawn[away.argmin()])]


def colours(image: np.ndarray) -> np.ndarray:
    """Return means and deviations (6,) of L*, a* and b* of (H, W, 3) uint8, of large pictures from a grid of pixels."""
    step = max(1, min(image.shape[:2]) // GRID)
    image = image[::step, ::step]
    lab = rgb_to_lab(torch.from_numpy(image.transpose(2, 0, 1).astype(np.float32) / 255)).flatten(1)
    return torch.cat([lab.mean(1), lab.std(1)]).numpy()


def transferred(
    method: Callable[[Tensor, Tensor], Tensor], image: np.ndarray, real: np.ndarray, strength: float = 1.0
) -> np.ndarray:
    """Return `image` with the statistics of `real`, both (H, W, 3) uint8, of any two sizes."""
    raw, like = (torch.from_numpy(x.transpose(2, 0, 1).astype(np.float32) / 255) for x in (image, real))
    made = raw + strength * (method(raw, like) - raw)
    return (made.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()


def reinhard(picture: Tensor, real: Tensor) -> Tensor:
    """Return (3, H, W) with the mean and deviation of the real one's L*, a* and b* (Reinhard et al. 2001, in Lab)."""
    ours, theirs = rgb_to_lab(picture), rgb_to_lab(real)
    mean, deviation = ours.mean((1, 2), keepdim=True), ours.std((1, 2), keepdim=True)
    gain = theirs.std((1, 2), keepdim=True) / deviation.clamp(min=1e-3)
    return lab_to_rgb((ours - mean) * gain + theirs.mean((1, 2), keepdim=True))


def fda(picture: Tensor, real: Tensor) -> Tensor:
    """Return (3, H, W) with the real one's amplitudes at low frequencies and its own phases (Yang and Soatto 2020)."""
    height, width = picture.shape[-2:]
    real = torch.nn.functional.interpolate(real[None], size=(height, width), mode="bilinear", antialias=True)[0]
    ours, theirs = torch.fft.rfft2(picture), torch.fft.rfft2(real)
    rows = torch.fft.fftfreq(height).abs()[:, None] <= BETA
    columns = torch.fft.rfftfreq(width) <= BETA
    amplitude = torch.where(rows & columns, theirs.abs(), ours.abs())
    return torch.fft.irfft2(torch.polar(amplitude, ours.angle()), s=(height, width))


def histogram(picture: Tensor, real: Tensor) -> Tensor:
    """Return (3, H, W) with the real one's histogram in each channel."""
    return torch.stack([histogram_matching(a, b) for a, b in zip(picture, real, strict=True)])


METHODS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"reinhard": reinhard, "fda": fda, "histogram": histogram}
