"""Training the preset `modern`.

A judge of labels is trained first, on our own exact ones under photometric changes of every kind, and frozen. Then, in
each iteration, a critic learns to score real patches above refined ones, and the refiner to raise the score of its own:

- Between refiner and critic stands the stochastic camera (sensor.py), as it will when the refiner is applied. So the
  critic sees noise, blur and compression on both sides, and the refiner need not paint them.
- Every refined patch is paired with the real patch in which the judge sees the most similar shares of classes, out of
  all places of the real mini-batch: what lies where tells the sets apart no more. The loss is relativistic (a pair's
  difference of scores) with zero-centred gradient penalties on both sides, R1 and R2 (Huang et al., NeurIPS 2024).
- What the judge says of the refined picture must be what it says of the raw one (weight `keep`).
- Pixels and their differences must stay near the raw ones, with a weight that is driven so that pictures change by
  `budget` on average (dual control): too large a weight is the identity, too small a one moves labels. The penalty
  is of squares, because an absolute one has a cliff between the two: at zero it is as steep as anywhere.
"""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from kornia.augmentation import RandomBrightness, RandomContrast
from kornia.color import rgb_to_grayscale, rgb_to_linear_rgb
from torch import Tensor, nn

from facewright.rng import stream
from facewright_refiner import guides, losses, sensor
from facewright_refiner.modern import NOISE, SCALES, Critic, Judge, ModernRefiner
from facewright_refiner.presets import Config
from facewright_refiner.profile import Profile, draw
from facewright_refiner.trainer import Row, Trainer, frozen
from facewright_refiner.training_set import PictureSet

PATCHES = 2
"""Patches that are taken of a picture, at each scale."""
STEP = 4
"""Places of real patches are STEP px apart."""
MIRROR = torch.tensor([1.0] * (guides.CHANNELS - 3) + [-1.0, 1.0, 1.0])[:, None, None]
"""What a mirrored guide is multiplied by: x of the normal changes its sign."""
RISE, FALL = 0.06, 0.02
"""Of log lam in an iteration, at twice the budget and at no change. It rises faster, since what moved is worse."""
LAM_RANGE = (0.02, 1e4)
"""Of lam, in units of the config's. Without the lower bound it fell so far while the refiner was still learning slowly
that afterwards, over budget, it took hundreds of iterations to come back (measured)."""
JUDGE_LR = 2e-3
RARITY, RAREST = 0.6, 0.003
"""The judge weighs a group of a share by (share + RAREST) ^ -RARITY. Unweighted, after 400 updates, it called nearly
everything skin, and saw no iris in a face and one in an eye out of six (measured)."""
FIRST_SHOWN = 1 << 40
"""Cameras of the probes are drawn from here on, far from those of training."""


class ModernTrainer(Trainer):
    """See above. `lam` is the driven weight."""

    averaged = True

    def __init__(self, config: Config, synthetic: PictureSet, real: PictureSet, device: str = "cpu") -> None:
        self.camera = None if config.camera == "none" else Profile.load(config.camera)
        super().__init__(config, synthetic, real, device)
        for group in self.optimizers["judge"].param_groups:
            group["lr"] = JUDGE_LR
        assert synthetic.guides is not None
        common = synthetic.guides[:, : len(guides.GROUPS)].float().mean((0, 2, 3)).to(self.device)
        rarity = (common + RAREST) ** -RARITY
        self.rarity = (rarity / (rarity * common).sum())[:, None, None]
        self.lam = config.lam
        self.bf16 = _bf16(config.precision, self.device)
        self.forward = torch.compile(self.refiner) if config.compile else self.refiner
        self.augment = nn.Sequential(
            RandomBrightness((0.85, 1.15), p=config.augment), RandomContrast((0.85, 1.15), p=config.augment)
        )
        self.about = {
            "camera": self.camera.to_data() if self.camera else None,
            "precision": ("fp32", "bf16")[self.bf16],
        }

    def _build(self) -> dict[str, nn.Module]:
        config = self.config
        refiner = ModernRefiner(config.channels, config.features, config.blocks)
        refiner.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  not in its stubs
        average = copy.deepcopy(refiner).requires_grad_(False)
        critic = Critic(config.channels, config.features)
        return {"refiner": refiner, "average": average, "discriminator": critic, "judge": Judge(config.channels)}

    def _update(self, phase: str) -> Row:
        if phase == "judge":
            return self._update_judge()
        row: Row = {}
        if phase != "discriminator":
            row |= self._update_refiner()
        for _ in range(self.config.discriminator_steps if phase == "both" else 1):
            row |= self._update_critic()
        return row

    def _update_judge(self) -> Row:
        batch = self._synthetic()
        with torch.no_grad():
            changed = self._disturbed(batch)
        logits = self.networks["judge"](changed)
        loss = -(F.log_softmax(logits, 1) * batch.shares * self.rarity).sum(1).mean()
        self._descend("judge", loss)
        right = (logits.argmax(1) == batch.shares.argmax(1)).float().mean()
        return {"regularization": float(loss.detach()), "accuracy": float(right)}

    def _update_refiner(self) -> Row:
        """Descend on all four losses, in `accumulate` parts; then drive lam and average the weights."""
        row: Row = {}
        self.optimizers["refiner"].zero_grad()
        whole, real = self._synthetic(), self._real()
        with frozen(self.discriminator), frozen(self.networks["judge"]):
            for part, shown in zip(whole.parts(self.config.accumulate), real.chunk(self.config.accumulate)):
                found = self._refiner_losses(part, shown)
                (found["refiner"] / self.config.accumulate).backward()
                for name, value in found.items():
                    row[name] = row.get(name, 0.0) + float(value.detach()) / self.config.accumulate
        self._step("refiner")
        self._drive(self._mean(row.pop("change")))
        with torch.no_grad():
            for slow, fast in zip(self.trained.parameters(), self.refiner.parameters(), strict=True):
                slow.lerp_(fast, 1 - self.config.average)
        return row | {"lam": self.lam}

    def _refiner_losses(self, batch: Batch, real: Tensor) -> dict[str, Tensor]:
        with self._autocast():
            refined = self.forward(batch.pictures, batch.guides, batch.noise)
        photos = self._photographed(refined, batch)
        refined_patches, real_patches = self._pairs(photos, real, batch)
        fooled = losses.relativistic(self.discriminator(refined_patches), self.discriminator(real_patches))
        change = (refined - batch.pictures).abs().mean()
        kept = losses.squared_change(refined, batch.pictures, 2 * self.config.budget)
        seen = self._label_change(refined, batch.pictures)
        total = fooled + self.lam * kept + self.config.keep * seen
        return {"refiner": total, "adversarial": fooled, "regularization": kept, "change": change / 2}

    def _label_change(self, refined: Tensor, raw: Tensor) -> Tensor:
        """Return by how much the judge's opinion of a pixel changed: the mean divergence from that of the raw one."""
        judge = self.networks["judge"]
        with torch.no_grad():
            before = F.log_softmax(judge(raw), 1)
        after = F.log_softmax(judge(refined), 1)
        return (before.exp() * (before - after)).sum(1).mean()

    def _update_critic(self) -> Row:
        """Descend on the relativistic loss and both penalties."""
        batch, real = self._synthetic(), self._real()
        with torch.no_grad():
            with self._autocast():
                refined = self.forward(batch.pictures, batch.guides, batch.noise)
            photos = self._photographed(refined, batch)
            refined_patches, real_patches = self._pairs(photos, real, batch)
        for patch in (*refined_patches, *real_patches):
            patch.requires_grad_()
        told_refined, told_real = self.discriminator(refined_patches), self.discriminator(real_patches)
        loss = losses.relativistic(told_real, told_refined)
        steep = losses.gradient_penalty(told_refined, refined_patches) + losses.gradient_penalty(
            told_real, real_patches
        )
        self._descend("discriminator", loss + self.config.penalty * steep)
        accuracy = float((told_real > told_refined).float().mean())
        return {"discriminator": float(loss.detach()), "accuracy": accuracy}

    def _drive(self, change: float) -> None:
        """Raise lam where pictures change by more than the budget, lower it where by less."""
        error = min(1.0, change / self.config.budget - 1)
        low, high = (bound * self.config.lam for bound in LAM_RANGE)
        self.lam = min(high, max(low, self.lam * math.exp((RISE if error > 0 else FALL) * error)))

    def _pairs(self, photos: Tensor, real: Tensor, batch: Batch) -> tuple[list[Tensor], list[Tensor]]:
        """Return patches of photos at random places, and of real pictures where the judge sees the same classes.

        Both are lists by scale of (PATCHES * B, C + groups, S, S); all scales have the same S.
        """
        side, judge = self.config.patch, self.networks["judge"]
        with torch.no_grad():
            seen = [judge(x).softmax(1) for x in (photos, real)]
        whole = [torch.cat(pair, 1) for pair in zip((photos, real), seen)]
        found: tuple[list[Tensor], list[Tensor]] = ([], [])
        random = stream(self.config.seed, batch.start, "refiner.patches")
        for scale in range(SCALES):
            reach = side * 2**scale
            shares = F.avg_pool2d(seen[1], reach, stride=STEP)
            offered = shares.permute(0, 2, 3, 1).flatten(0, 2)
            rows, columns = shares.shape[-2:]
            made, wanted = [], []
            for _ in range(PATCHES):
                tops = random.integers(0, photos.shape[-2] - reach + 1, len(photos))
                lefts = random.integers(0, photos.shape[-1] - reach + 1, len(photos))
                made += [_cut(whole[0], n, int(y), int(x), reach) for n, (y, x) in enumerate(zip(tops, lefts))]
            patches = torch.stack(made)
            layout = patches[:, -len(guides.GROUPS) :].mean((2, 3)).detach()
            nearest = torch.cdist(layout, offered).argmin(1).tolist()
            for place in nearest:
                picture, place = divmod(place, rows * columns)
                row, column = divmod(place, columns)
                wanted.append(_cut(whole[1], picture, row * STEP, column * STEP, reach))
            for side_of, taken in zip(found, (patches, torch.stack(wanted))):
                side_of.append(self._augmented(F.avg_pool2d(taken, 2**scale) if scale else taken, batch.start + scale))
        return found

    def _augmented(self, patches: Tensor, key: int) -> Tensor:
        """Return patches of other brightness and contrast, and mirrored with what the judge sees, from a stream."""
        random = stream(self.config.seed, key, "refiner.mirror").random(len(patches))
        mirrored = torch.from_numpy(random < 0.5).to(patches.device)[:, None, None, None]
        patches = torch.where(mirrored, patches.flip(-1), patches)
        picture, seen = patches.split([self.config.channels, len(guides.GROUPS)], 1)
        with self._drawn(key, "augment"):
            changed = self.augment((picture + 1) / 2)
        return torch.cat([changed * 2 - 1, seen], 1)

    def _disturbed(self, batch: Batch) -> Tensor:
        """Return a batch under light, tone, blur and noise of every kind, for the judge: half of it photographed."""
        photos = self._photographed(batch.pictures, batch)
        with self._drawn(batch.start, "judge"):
            count = len(photos)
            plain = torch.rand(count, 1, 1, 1, device=photos.device) < 0.5
            x = (torch.where(plain, batch.pictures, photos) + 1) / 2
            gamma = torch.exp(0.4 * torch.randn(count, 1, 1, 1, device=x.device))
            tint = torch.exp(0.15 * torch.randn(count, x.shape[1], 1, 1, device=x.device))
            x = x.clamp(1e-3, 1) ** gamma * tint
            mean = x.mean((2, 3), keepdim=True)
            x = mean + (x - mean) * torch.exp(0.3 * torch.randn_like(mean)) + 0.1 * torch.randn_like(mean)
            soft = torch.rand(count, 1, 1, 1, device=x.device) < 0.3
            x = torch.where(soft, F.avg_pool2d(F.pad(x, (1, 1, 1, 1), "replicate"), 3, 1), x)
            x = x + 0.06 * torch.rand(count, 1, 1, 1, device=x.device) * torch.randn_like(x)
        return x.clamp(0, 1) * 2 - 1

    def _photographed(self, pictures: Tensor, batch: Batch) -> Tensor:
        """Return photographs (B, C, H, W) in [-1, 1] of pictures, each by the camera of its place in the series."""
        if self.camera is None:
            return pictures
        light = rgb_to_linear_rgb(((pictures + 1) / 2).expand(-1, 3, -1, -1))
        camera = self.camera.within_view()
        cameras = [
            draw(camera, self.config.seed, batch.start + n, px_per_mm=float(scale))
            for n, scale in enumerate(batch.px_per_mm)
        ]
        photos = sensor.apply(light, cameras)
        return (photos if self.config.channels == 3 else rgb_to_grayscale(photos)) * 2 - 1

    def _synthetic(self) -> Batch:
        start = self.counters["synthetic"] + self.rank * (self.config.batch // self.world)
        return self._batch(self._places(self.synthetic, "synthetic"), start, mirrored=True)

    def _real(self) -> Tensor:
        return self.real.pictures[self._places(self.real, "real")].float().to(self.device)

    def _batch(self, places: Tensor, start: int, mirrored: bool) -> Batch:
        """Return pictures with their guides and noise; half of them mirrored, if at all."""
        assert self.synthetic.guides is not None
        assert self.synthetic.px_per_mm is not None
        pictures, seen = self.synthetic.pictures[places].float(), self.synthetic.guides[places].float()
        random = stream(self.config.seed, start, "refiner.batch")
        if mirrored:
            flip = torch.from_numpy(random.random(len(places)) < 0.5)[:, None, None, None]
            pictures = torch.where(flip, pictures.flip(-1), pictures)
            seen = torch.where(flip, seen.flip(-1) * MIRROR, seen)
        noise = random.standard_normal((len(places), NOISE, *pictures.shape[-2:]), "float32")
        pictures, seen, noise = (x.to(self.device) for x in (pictures, seen, torch.from_numpy(noise)))
        return Batch(pictures, seen, noise, self.synthetic.px_per_mm[places], start)

    def refine_probes(self) -> Tensor:
        """Return the probes refined by the averaged weights."""
        batch = self._batch(self.probe_places, FIRST_SHOWN, mirrored=False)
        with torch.inference_mode():
            return self.trained(batch.pictures, batch.guides, batch.noise)

    def shown(self, pictures: Tensor) -> Tensor:
        """Return probes as the camera takes them."""
        with torch.inference_mode():
            return self._photographed(pictures, self._batch(self.probe_places, FIRST_SHOWN, mirrored=False))

    @contextlib.contextmanager
    def _drawn(self, key: int, name: str) -> Iterator[None]:
        """Let torch's own generators, which kornia takes, draw from the stream `name`."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(stream(self.config.seed, key, f"refiner.{name}").integers(2**62)))
            yield

    def _autocast(self) -> Any:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16)

    def _state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return {}, {"lam": self.lam}

    def _resume(self, tensors: dict[str, Tensor], data: dict[str, Any]) -> None:
        self.lam = float(data["lam"])


class Batch:
    """A mini-batch of renders: (B, C, H, W) pictures in [-1, 1], guides, noise, (B,) px per mm, its first number."""

    def __init__(self, pictures: Tensor, guides: Tensor, noise: Tensor, px_per_mm: Tensor, start: int) -> None:
        self.pictures, self.guides, self.noise, self.px_per_mm, self.start = pictures, guides, noise, px_per_mm, start

    @property
    def shares(self) -> Tensor:
        """The exact labels: (B, groups, H, W) shares."""
        return self.guides[:, : len(guides.GROUPS)]

    def parts(self, count: int) -> list[Batch]:
        """Return the batch in `count` parts."""
        size = len(self.pictures) // count
        return [self._slice(n, n + size) for n in range(0, count * size, size)]

    def _slice(self, a: int, b: int) -> Batch:
        pictures, seen, noise = self.pictures[a:b], self.guides[a:b], self.noise[a:b]
        return Batch(pictures, seen, noise, self.px_per_mm[a:b], self.start + a)


def _cut(pictures: Tensor, n: int, y: int, x: int, side: int) -> Tensor:
    return pictures[n, :, y : y + side, x : x + side]


def _bf16(precision: str, device: torch.device) -> bool:
    """Return whether to compute in bfloat16: where the processor does so itself, or always if that was asked for."""
    if precision != "auto" or device.type == "cuda":
        return precision != "fp32"
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
