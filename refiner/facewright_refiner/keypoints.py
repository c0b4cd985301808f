"""A small network that finds key points and regions of a face or an eye, trained on renders that know them exactly.

Some hundred renders teach a network where things are, since every training view is turned, scaled, shifted and mirrored
and its points move along; they do not teach it to read a pose or a gaze directly. Those follow from the points.
Points are (P, 2): x and y over the picture's width, from its upper left corner.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from kornia.augmentation import AugmentationSequential, ColorJiggle, RandomErasing, RandomGaussianBlur
from kornia.color import rgb_to_grayscale
from torch import Tensor, nn

from facewright.render import Frame
from facewright.rng import stream
from facewright_refiner.regions import REGIONS
from facewright_refiner.tasks.networks import DEVIATION, MEAN, UNet
from facewright_refiner.tasks.segmentation import IGNORE, region_loss

STEPS, BATCH = 1600, 16
WIDTH = 20
"""Channels of the network's finest level."""
SPREAD = 2.0
"""Standard deviation of a target's blob, in cells of the heat map."""


class Views(NamedTuple):
    """How a network sees pictures: at `edge` px along the longer side.

    In training they are turned by up to `turn` degrees either way, scaled by up to the factor `zoom`, shifted by up to
    `shift` of the width; it takes `share` of the steps that are asked for.
    """

    edge: int
    turn: float
    zoom: float
    shift: float
    share: float


WHOLE = Views(64, 25.0, 1.35, 0.12, 1.0)
"""Of whole pictures."""

FACE = ("36", "39", "45", "42", "right limbus", "left limbus", "30", "33", "48", "54", "51", "57", "8", "19", "24")
"""Points of a face: iBUG-68 numbers, and the limbus' centres."""
FACE_LIDS = (((37, 38), (40, 41)), ((43, 44), (46, 47)))
"""Upper and lower lid of each eye: the middle of two iBUG points."""
EYE_PLACES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Points on each lid of an eye, from its image-left to its image-right corner."""


def points_of(frame: Frame) -> np.ndarray:
    """Return the key points (P, 2) in px of the frame: of a face, or of the eye that the camera aims at."""
    truth = frame.truth
    if frame.sample.scene == "eye":
        eye = truth.eyes["left" if truth.target == "left_eye" else "right"]
        lids = [lid if lid[0, 0] <= lid[-1, 0] else lid[::-1] for lid in (eye.lid_upper_2d, eye.lid_lower_2d)]
        places = [[round(share * (len(lid) - 1)) for share in EYE_PLACES] for lid in lids]
        upper, lower = (lid[place] for lid, place in zip(lids, places, strict=True))
        brow = truth.landmarks_2d[24 if eye.side == "left" else 19]
        return np.vstack([upper, lower[1:-1], eye.limbus.centre, eye.pupil.centre, brow])
    marks = truth.landmarks_2d
    limbus = {f"{side} limbus": eye.limbus.centre for side, eye in truth.eyes.items()}
    points = [limbus[name] if name in limbus else marks[int(name)] for name in FACE]
    lids = [marks[list(pair)].mean(0) for sides in FACE_LIDS for pair in sides]
    return np.vstack([points, lids])


def mirrored(scene: str) -> list[int]:
    """Return which point of the picture becomes each point of its mirror image."""
    if scene == "eye":
        return [4, 3, 2, 1, 0, 7, 6, 5, 8, 9, 10]
    return [2, 3, 0, 1, 5, 4, 6, 7, 9, 8, 10, 11, 12, 14, 13, 17, 18, 15, 16]


def small(pictures: Tensor, edge: int) -> Tensor:
    """Return (N, 3, H, W) at the network's size: the longer edge `edge`, both a multiple of 8."""
    height, width = pictures.shape[-2:]
    size = [max(16, 8 * round(edge * side / max(height, width) / 8)) for side in (height, width)]
    return F.interpolate(pictures, size=size, mode="bilinear", antialias=True, align_corners=False)


def _stretch(pictures: Tensor, edge: int) -> float:
    """Return how much higher (N, 3, H, W) become by `small` for their width: its edges are multiples of 8."""
    height, width = small(pictures[:1], edge).shape[-2:]
    return height / width * pictures.shape[-1] / pictures.shape[-2]


class Finder(nn.Module):
    """Heat maps of P points and logits of R regions: a U-Net, whose batch normalisation learns from few pictures."""

    def __init__(self, points: int, regions: int = 0, edge: int = WHOLE.edge) -> None:
        super().__init__()
        self.points, self.edge = points, edge
        self.body = UNet(points + regions, WIDTH)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Return logarithms of probabilities (B, P, H, W), and logits (B, R, H, W), of (B, 3, H, W) sRGB in [0, 1]."""
        heat, regions = self.body(_relief(pictures)).split([self.points, self.body.head.out_channels - self.points], 1)
        return F.log_softmax(heat.flatten(2), dim=2).view_as(heat), regions


def _relief(pictures: Tensor) -> Tensor:
    """Return (B, 3, H, W) with the brightness and contrast that the network expects of all pictures."""
    luma = rgb_to_grayscale(pictures)
    return MEAN + DEVIATION * (pictures - luma.mean((2, 3), keepdim=True)) / (luma.std((2, 3), keepdim=True) + 0.03)


def expected(heat: Tensor) -> Tensor:
    """Return the mean places (B, P, 2) of heat maps (B, P, h, w), in widths."""
    height, width = heat.shape[-2:]
    share = heat.exp()
    x = (share.sum(2) * (torch.arange(width) + 0.5)).sum(-1)
    y = (share.sum(3) * (torch.arange(height) + 0.5)).sum(-1)
    return torch.stack([x, y], -1) / width


def train_finder(
    pictures: Tensor,
    points: np.ndarray,
    scene: str,
    seed: int,
    steps: int = 0,
    regions: Tensor | None = None,
    views: Views = WHOLE,
) -> Finder:
    """Return a network trained on (N, 3, H, W) in [0, 1] with `points` (N, P, 2).

    `regions` (N, H, W) uint8 are numbered as in regions.REGIONS; without them it finds none. `views` says how it sees;
    training takes its share of `steps` (0: STEPS).
    """
    steps = max(1, round((steps or STEPS) * views.share))
    known = torch.from_numpy(points * (1, _stretch(pictures, views.edge))).float()
    pictures = small(pictures, views.edge)
    ids = torch.full((len(pictures), 1, *pictures.shape[-2:]), float(IGNORE))
    if regions is not None:
        ids = F.interpolate(regions[:, None].float(), size=pictures.shape[-2:], mode="nearest-exact")
    swap = mirrored(scene)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Finder(points.shape[1], len(REGIONS[scene]) if regions is not None else 0, views.edge)
        network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  not in its stubs; a fifth faster
        jitter = AugmentationSequential(
            ColorJiggle(0.4, 0.4, 0.4, 0.1, p=0.8),
            RandomGaussianBlur((5, 5), (0.1, 1.6), p=0.5),
            RandomErasing((0.02, 0.15), p=0.4),
        )
        optimiser = torch.optim.AdamW(network.parameters(), weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=max(2, steps), pct_start=0.1)
        for step in range(steps):
            random = stream(seed, step, "keypoints.batch")
            chosen = random.permutation(len(pictures))[:BATCH]
            shown, where, there = _turned(pictures[chosen], known[chosen], ids[chosen], views, random)
            if random.random() < 0.5:
                shown, there = shown.flip(-1), there.flip(-1)
                where = where[:, swap] * torch.tensor([-1.0, 1.0]) + torch.tensor([1.0, 0.0])
            optimiser.zero_grad()
            heat, logits = network(jitter(shown))
            loss = _loss(heat, where).mean()
            if regions is not None:
                loss = loss + region_loss(logits, there[:, 0].round().to(torch.uint8))
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimiser.step()
            schedule.step()
    return network.eval()


class Found(NamedTuple):
    """Points (N, P, 2) in widths, and probabilities (N, R, h, w) of regions."""

    points: np.ndarray
    regions: Tensor


@torch.inference_mode()
def find(network: Finder, pictures: Tensor, scene: str) -> Found:
    """Return what is found in (N, 3, H, W) and in its mirror image, on the average."""
    swap = mirrored(scene)
    points, regions = [], []
    for part in small(pictures, network.edge).split(64):
        (heat, logits), (heat_mirrored, logits_mirrored) = network(part), network(part.flip(-1))
        again = expected(heat_mirrored)[:, swap] * torch.tensor([-1.0, 1.0]) + torch.tensor([1.0, 0.0])
        points.append((expected(heat) + again) / 2)
        regions.append((logits.softmax(1) + logits_mirrored.softmax(1).flip(-1)) / 2)
    places = torch.cat(points).double().numpy() / (1, _stretch(pictures, network.edge))
    return Found(places, torch.cat(regions))


def mirror(found: Found, scene: str) -> Found:
    """Return what lies where in the mirror image."""
    return Found(found.points[:, mirrored(scene)] * (-1, 1) + (1, 0), found.regions.flip(-1))


def _turned(
    pictures: Tensor, points: Tensor, ids: Tensor, views: Views, random: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Return every picture turned, scaled and shifted about its middle, its points where they then are, and its ids."""
    count, _, height, width = pictures.shape
    angle = torch.from_numpy(np.radians(random.uniform(-views.turn, views.turn, count))).float()
    zoom = torch.from_numpy(views.zoom ** random.uniform(-1, 1, count)).float()
    shift = torch.from_numpy(random.uniform(-views.shift, views.shift, (count, 2))).float()
    c, s = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    forward = torch.stack(
        [torch.stack([c, -s], -1), torch.stack([s, c], -1)], 1
    )  # of points about the middle, in widths
    middle = torch.tensor([0.5, 0.5 * height / width])
    moved = torch.einsum("nij,npj->npi", forward, points - middle) + middle + shift[:, None]
    y, x = torch.meshgrid((torch.arange(height) + 0.5) / width, (torch.arange(width) + 0.5) / width, indexing="ij")
    there = torch.stack([x, y], -1) - middle - shift[:, None, None]
    back = torch.einsum("nij,nhwj->nhwi", torch.linalg.inv(forward), there)
    grid = back / middle  # of grid_sample: -1 to 1 from edge to edge
    there = F.grid_sample(ids, grid, mode="nearest", padding_mode="reflection", align_corners=False)
    return F.grid_sample(pictures, grid, padding_mode="reflection", align_corners=False), moved, there


def _loss(heat: Tensor, points: Tensor) -> Tensor:
    """Return the cross-entropy of heat maps with blobs at the points, plus their means' error, of points inside."""
    height, width = heat.shape[-2:]
    x, y = (points * width - 0.5).unbind(-1)
    inside = ((x > -0.5) & (x < width - 0.5) & (y > -0.5) & (y < height - 0.5)).float()
    rows = torch.exp(-((torch.arange(height) - y[..., None]) ** 2) / (2 * SPREAD**2))
    columns = torch.exp(-((torch.arange(width) - x[..., None]) ** 2) / (2 * SPREAD**2))
    blob = rows[..., :, None] * columns[..., None, :]
    blob = blob / blob.sum((2, 3), keepdim=True).clamp(min=1e-6)
    entropy = -(blob * heat).sum((2, 3))
    error = (expected(heat) - points).abs().sum(-1) * width / 8
    return ((entropy + error) * inside).sum() / inside.sum().clamp(min=1)
