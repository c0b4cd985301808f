"""A camera as a differentiable pipeline: linear light in, the photograph of it out, every label where it was.

`draw(profile, seed, index)` says which camera (pure data), `apply(linear, params)` takes the picture (a pure function,
differentiable in `linear`). The order is that of the light: field, metering, lens, filter mosaic, noise, colour, tone,
sharpening, grade, codec, and last what the real data set's authors did to their pictures.

No stage moves anything: resampling maps the corners of the image on each other, every point-spread function is
symmetric about its centre, demosaicing interpolates between the true sites of each colour, tone and noise act on single
pixels, and JPEG's chroma siting is central. Lateral chromatic aberration is left out because it does move edges.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from kornia.color import CFA, linear_rgb_to_rgb, raw_to_rgb, rgb_to_grayscale, rgb_to_raw
from kornia.enhance import jpeg_codec_differentiable
from torch import Tensor

from facewright.rng import stream
from facewright_refiner.parameters import Grade, SensorParams
from facewright_refiner.profile import View, draw

__all__ = ["apply", "draw", "view"]

REC709 = (0.2126, 0.7152, 0.0722)
"""Luminance of linear Rec.709 primaries."""
REC601 = (0.299, 0.587, 0.114)
"""Luma of sRGB values."""
GRADE_GAIN = 2.0
"""Largest gain of contrast or colour by a grade, and the inverse of the smallest: with 2.5, skin was seen to glow."""
GRADE_UNIT = 0.1
"""A change of mean luma or colour that asks as much of a picture as a gain by e."""
MIDDLE_GREY = 0.18
"""What a light meter makes of the mean scene (ISO 2720)."""
LEAST_SENSOR = 16
"""The sensor's shorter side is never scaled below this many px."""


def apply(linear: Tensor, params: Sequence[SensorParams]) -> Tensor:
    """Return photographs of scene-linear images.

    `linear` is (B, 3, H, W) float, 1.0 = sRGB white, B = len(params); the result is (B, 3, H, W) sRGB in [0, 1]. Images
    are taken one by one, because each has a sensor of its own size: a result cannot depend on its neighbours.
    """
    if linear.ndim != 4 or linear.shape[1] != 3 or linear.shape[0] != len(params):
        raise ValueError(f"expected ({len(params)}, 3, H, W) for {len(params)} cameras, got {tuple(linear.shape)}")
    return torch.cat([_photograph(linear[i : i + 1], one) for i, one in enumerate(params)])


def _photograph(linear: Tensor, p: SensorParams) -> Tensor:
    size = linear.shape[-2:]
    # The sensor's grid comes first: the stages before it are smooth or linear, and cheaper there.
    light = resample(linear, sensor_size(size, p.scale))
    light = expose(illuminate(light, p), p)
    light = spread(light, point_spread(p).to(light))
    light = colour(sense(light, p), p)
    picture = graded(sharpen(denoise_chroma(tone(light, p), p), p), p.grades)
    picture = resample(compress(picture, p), size).clamp(0, 1)
    return preprocess(picture, p)


def sensor_size(size: Sequence[int], scale: float) -> tuple[int, int]:
    """Return (height, width) in px of the sensor grid under a frame of `size` (H, W)."""
    scale = max(scale, min(1.0, LEAST_SENSOR / min(size)))
    return round(size[0] * scale), round(size[1] * scale)


def resample(image: Tensor, size: Sequence[int]) -> Tensor:
    """Return (B, C, H, W) resampled to (B, C, *size), corner on corner, by area when shrinking."""
    if tuple(image.shape[-2:]) == tuple(size):
        return image
    return F.interpolate(image, size=tuple(size), mode="bilinear", align_corners=False, antialias=True)


def illuminate(light: Tensor, p: SensorParams) -> Tensor:
    """Multiply by the low-frequency light field: a gradient across the frame and the lens's vignette."""
    if not p.shade_ev and not p.vignette_ev:
        return light
    height, width = light.shape[-2:]
    y = _centres(height, light)[:, None]
    x = _centres(width, light)[None, :]
    angle = math.radians(p.shade_deg)
    slope = (x * math.cos(angle) + y * math.sin(angle)) / (abs(math.cos(angle)) + abs(math.sin(angle)))
    return light * torch.exp2(p.shade_ev * slope / 2 - p.vignette_ev * (x**2 + y**2) / 2)


def expose(light: Tensor, p: SensorParams) -> Tensor:
    """Meter, expose, add veiling glare, and leave the white-balance error in."""
    mean = _luminance(light).mean(-1).mean(-1)[..., None, None].clamp(min=1e-4)
    gain = 2.0**p.exposure_ev * (MIDDLE_GREY / mean) ** p.meter
    light = gain * ((1 - p.flare) * light + p.flare * mean)
    error = light.new_tensor([p.warm_ev / 2, p.tint_ev, -p.warm_ev / 2])
    balance = torch.exp2(error)
    balance = balance / (balance * light.new_tensor(REC709)).sum()
    return light * balance[:, None, None]


def point_spread(p: SensorParams) -> Tensor:
    """Return the (K, K) float64 point-spread function, K odd: Gaussian * disc * streak, sum 1, centroid 0."""
    kernel = torch.ones(1, 1, dtype=torch.float64)
    for part, size in ((_gaussian, p.blur_px), (_disc, p.defocus_px)):
        if size > 0:
            kernel = _compose(kernel, part(size))
    if p.motion_px > 0:
        kernel = _compose(kernel, _streak(p.motion_px, p.motion_deg))
    kernel = (kernel + kernel.flip(0, 1)) / 2
    return kernel / kernel.sum()


def spread(image: Tensor, kernel: Tensor) -> Tensor:
    """Convolve (B, C, H, W) with an odd (K, K) kernel about its centre; the border is reflected.

    By FFT, which costs the same for every kernel; the kernel is non-negative, so there is no ringing.
    """
    radius = kernel.shape[-1] // 2
    if radius == 0:
        return image
    padded = _reflect(image, radius)
    shape = padded.shape[-2:]
    transfer = torch.fft.rfft2(kernel, s=shape)
    blurred = torch.fft.irfft2(torch.fft.rfft2(padded) * transfer, s=shape)
    # A kernel anchored at [0, 0] puts the image K - 1 later; of that, the padding took K // 2.
    return blurred[..., 2 * radius :, 2 * radius :]


def sense(light: Tensor, p: SensorParams) -> Tensor:
    """Sample through the colour filter, add shot and read noise, saturate, and demosaic; (B, 3, H, W) in and out."""
    white = 2.0**p.headroom_ev
    if p.mosaic == "none":
        return add_noise(light, p).clamp(0, white)
    if p.mosaic == "mono":
        return add_noise(_luminance(light), p).clamp(0, white).expand_as(light)
    height, width = light.shape[-2:]
    even = F.pad(light, (0, width % 2, 0, height % 2), mode="replicate")
    raw = add_noise(rgb_to_raw(even, CFA[p.cfa]), p).clamp(0, white)
    return raw_to_rgb(raw, CFA[p.cfa])[..., :height, :width]


def add_noise(raw: Tensor, p: SensorParams) -> Tensor:
    """Add normal noise of variance shot^2 * signal + read^2 (Poisson light, as normal) to (1, C, H, W)."""
    if not p.shot and not p.read:
        return raw
    sd = torch.sqrt(p.shot**2 * raw.clamp(min=0) + max(p.read, 1e-6) ** 2)
    return raw + sd * _normals(raw.shape, *p.noise_stream).to(raw)


def colour(light: Tensor, p: SensorParams) -> Tensor:
    """Apply the colour matrix: chroma times `saturation` about the luminance."""
    if p.saturation == 1:
        return light
    grey = _luminance(light)
    return grey + p.saturation * (light - grey)


def tone(light: Tensor, p: SensorParams) -> Tensor:
    """Return sRGB values in [0, 1] of linear light: shoulder, sRGB curve, contrast, gamma."""
    white = 2.0**p.headroom_ev
    if p.shoulder > 0:
        light = _soft_ceiling(light, p.shoulder)
        floor, top = (_soft_ceiling(light.new_tensor(x), p.shoulder) for x in (0.0, white))
        light = (light - floor) / (top - floor)
    value = linear_rgb_to_rgb(light.clamp(0, 1))
    if p.contrast != 1:
        value = value.clamp(1e-6, 1 - 1e-6)
        value = value**p.contrast / (value**p.contrast + (1 - value) ** p.contrast)
    return value if p.gamma == 1 else value.clamp(min=1e-6) ** p.gamma


def denoise_chroma(picture: Tensor, p: SensorParams) -> Tensor:
    """Blur colour but not luma, as image processors do to hide colour noise."""
    if not p.chroma_px:
        return picture
    luma = rgb_to_grayscale(picture)
    return luma + spread(picture - luma, _gaussian(p.chroma_px).to(picture))


def sharpen(picture: Tensor, p: SensorParams) -> Tensor:
    """Add the unsharp mask of luma, halos included."""
    if not p.sharpen:
        return picture
    luma = rgb_to_grayscale(picture)
    mask = luma - spread(luma, _gaussian(p.sharpen_px).to(picture))
    return (picture + p.sharpen * mask).clamp(0, 1)


def graded(picture: Tensor, grades: Sequence[Grade]) -> Tensor:
    """Return the picture (1, 3, H, W) with a grade's mean and deviation of luma and colour differences, in [0, 1].

    Reinhard et al. (2001), in the axes that a camera's processor works in, to the nearest of `grades`: a dark face is
    finished as one of the darker pictures rather than as any. Gains stay within GRADE_GAIN, so that a flat wall is not
    stretched to a scene.
    """
    if not grades or not grades[0].strength:
        return picture
    mean, deviation = statistics(picture, grades[0].crop)
    means, deviations = (picture.new_tensor(x) for x in zip(*((one.mean, one.deviation) for one in grades)))
    gains = (deviations[..., None, None] / deviation.clamp(min=1e-4)).clamp(1 / GRADE_GAIN, GRADE_GAIN)
    asked = ((means - mean[0, :, 0, 0]) / GRADE_UNIT).square().sum(1) + gains[..., 0, 0].log().square().sum(1)
    chosen = int(asked.detach().argmin())
    moved = (opponents(picture) - mean) * gains[chosen] + means[chosen][:, None, None]
    luma, blue, red = moved.split(1, dim=1)
    r, b = luma + red, luma + blue
    g = (luma - REC601[0] * r - REC601[2] * b) / REC601[1]
    return (picture + grades[chosen].strength * (torch.cat([r, g, b], dim=1) - picture)).clamp(0, 1)


def statistics(picture: Tensor, crop: float = 1.0) -> tuple[Tensor, Tensor]:
    """Return mean and deviation (B, 3, 1, 1) of `opponents` on the middle share `crop` of each side."""
    height, width = picture.shape[-2:]
    y, x = (max(0, round(side * (1 - crop) / 2)) for side in (height, width))
    seen = opponents(picture[..., y : height - y, x : width - x])
    mean = seen.mean((2, 3), keepdim=True)
    return mean, (seen - mean).square().mean((2, 3), keepdim=True).add(1e-10).sqrt()


def opponents(picture: Tensor) -> Tensor:
    """Return (B, 3, H, W): luma (BT.601), blue minus luma, red minus luma."""
    luma = (picture * picture.new_tensor(REC601)[:, None, None]).sum(1, keepdim=True)
    return torch.cat([luma, picture[:, 2:] - luma, picture[:, :1] - luma], dim=1)


def compress(picture: Tensor, p: SensorParams) -> Tensor:
    """Return the picture as JPEG would give it back; sizes are padded by reflection to whole 16 px blocks."""
    if p.jpeg >= 100:
        return picture
    height, width = picture.shape[-2:]
    padded = _reflect(picture, 0, -height % 16, -width % 16)
    return jpeg_codec_differentiable(padded, picture.new_tensor([p.jpeg]))[..., :height, :width]


def preprocess(picture: Tensor, p: SensorParams) -> Tensor:
    """Do what the real data set's authors did: grey, then histogram equalisation."""
    if p.gray:
        picture = rgb_to_grayscale(picture).expand_as(picture)
    if not p.equalise:
        return picture
    luma = rgb_to_grayscale(picture)
    return (picture + equalised(luma) - luma).clamp(0, 1)


def equalised(luma: Tensor) -> Tensor:
    """Return (1, 1, H, W) with a flat histogram over 256 levels; the level map is a constant to the gradient."""
    levels = (luma.detach() * 255).round().long().flatten()
    cumulated = torch.bincount(levels, minlength=256).cumsum(0).to(luma)
    first = cumulated[levels.min()]
    table = ((cumulated - first) / (cumulated[-1] - first).clamp(min=1)).clamp(0, 1)
    position = luma.clamp(0, 1) * 255
    below = position.detach().floor().clamp(0, 254).long()
    share = position - below
    return table[below] * (1 - share) + table[below + 1] * share


def view(image: Tensor, how: View, size: tuple[int, int] | None = None) -> tuple[Tensor, np.ndarray]:
    """Return a data set's view of (B, C, H, W), and the (3, 3) matrix that takes label px along (corner origin).

    The crop is central, of the view's shape. `size` (height, width) overrides the view's own.
    """
    height, width = image.shape[-2:]
    wanted = size or ((how.height, how.width) if how.width else (height, width))
    aspect = wanted[0] / wanted[1]
    cut_width = min(width * how.crop, height / aspect)
    w, h = max(1, round(cut_width)), max(1, round(cut_width * aspect))
    x, y = (width - w) // 2, (height - h) // 2
    sx, sy = wanted[1] / w, wanted[0] / h
    matrix = np.array([[sx, 0, -sx * x], [0, sy, -sy * y], [0, 0, 1.0]])
    return resample(image[..., y : y + h, x : x + w], wanted), matrix


def _luminance(light: Tensor) -> Tensor:
    return (light * light.new_tensor(REC709)[:, None, None]).sum(1, keepdim=True)


def _centres(count: int, like: Tensor) -> Tensor:
    """Return pixel centres in [-1, 1]."""
    return (torch.arange(count, device=like.device, dtype=like.dtype) + 0.5) * (2 / count) - 1


def _soft_ceiling(x: Tensor, width: float) -> Tensor:
    """Return a smooth minimum of x and 1 that leaves x alone `width` below 1."""
    return 1 - width * F.softplus((1 - x) / width)


def _gaussian(sigma: float) -> Tensor:
    """Return the Gaussian integrated over pixels, cut at 4 sigma: (K, K)."""
    radius = max(1, math.ceil(4 * sigma))
    edges = torch.arange(-radius, radius + 2, dtype=torch.float64) - 0.5
    line = torch.special.ndtr(edges / sigma).diff()
    line = (line + line.flip(0)) / 2
    kernel = line[:, None] * line
    return kernel / kernel.sum()


def _disc(radius: float) -> Tensor:
    """Return a disc with an edge one pixel soft: (K, K)."""
    x = _offsets(math.ceil(radius + 0.5))
    kernel = (radius + 0.5 - torch.hypot(x[:, None], x)).clamp(0, 1)
    return kernel / kernel.sum()


def _streak(length: float, angle_deg: float) -> Tensor:
    """Return a line of `length` px through the centre, linearly splatted: (K, K)."""
    x = _offsets(math.ceil(length / 2) + 1)
    t = torch.linspace(-length / 2, length / 2, 2 * math.ceil(4 * length) + 1, dtype=torch.float64)
    angle = math.radians(angle_deg)
    across = (1 - (x - t[:, None] * math.cos(angle)).abs()).clamp(min=0)
    down = (1 - (x - t[:, None] * math.sin(angle)).abs()).clamp(min=0)
    kernel = down.T @ across
    return kernel / kernel.sum()


def _offsets(radius: int) -> Tensor:
    return torch.arange(-radius, radius + 1, dtype=torch.float64)


def _compose(a: Tensor, b: Tensor) -> Tensor:
    """Return the full convolution of two square kernels (symmetric, so that correlation equals it)."""
    return F.conv2d(a[None, None], b.flip(0, 1)[None, None], padding=b.shape[-1] - 1)[0, 0]


def _reflect(image: Tensor, margin: int, bottom: int = 0, right: int = 0) -> Tensor:
    """Pad by reflection, any amount; rows and columns beyond one image repeat the fold."""
    height, width = image.shape[-2:]
    if max(margin + bottom, margin + right) < min(height, width):
        return F.pad(image, (margin, margin + right, margin, margin + bottom), mode="reflect")
    rows = _folded(height, -margin, height + margin + bottom, image.device)
    columns = _folded(width, -margin, width + margin + right, image.device)
    return image[..., rows, :][..., columns]


def _folded(count: int, first: int, last: int, device: torch.device) -> Tensor:
    place = torch.arange(first, last, device=device)
    period = max(1, 2 * count - 2)
    place = place.remainder(period)
    return torch.where(place < count, place, period - place)


def _normals(shape: Sequence[int], seed: int, index: int, name: str) -> Tensor:
    """Return float32 standard normals, equal on every device and every version of numpy."""
    count = math.prod(shape)
    words = stream(seed, index, name).bit_generator.random_raw((count + 1) // 2).view(np.uint32)[:count]
    quantiles = (words.astype(np.float64) + 0.5) * 2.0**-32
    return torch.special.ndtri(torch.from_numpy(quantiles)).float().reshape(tuple(shape))
