"""Training as in SimGAN: both networks, pre-training, the history of refined pictures, and a learned psi if wanted."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from facewright.rng import stream
from facewright_refiner import losses
from facewright_refiner.networks import Discriminator, Features, refiner_of, standardised
from facewright_refiner.pool import HistoryPool
from facewright_refiner.presets import FEATURE, Config
from facewright_refiner.trainer import Row, Trainer, under
from facewright_refiner.training_set import PictureSet

FEATURES_LR = 2e-3
FEATURES_NOISE = 0.3
"""Deviation of the noise that features learn to see through, of a standardised picture."""


class SimganTrainer(Trainer):
    """The paper's algorithm 1, after pre-training both networks."""

    def __init__(self, config: Config, synthetic: PictureSet, real: PictureSet, device: str = "cpu") -> None:
        super().__init__(config, synthetic, real, device)
        self.psi = losses.PSI.get(config.psi) or self.networks["features"]
        if config.psi == FEATURE:
            self.optimizers["features"] = torch.optim.Adam(self.networks["features"].parameters(), FEATURES_LR)
        self.pool = HistoryPool(config.pool, (config.channels, config.height, config.width), config.seed)
        with torch.inference_mode():
            self.patches = self.discriminator(self.probes[:1])[0, 0].numel()

    def _build(self) -> dict[str, nn.Module]:
        config = self.config
        built: dict[str, nn.Module] = {
            "refiner": refiner_of(config.family, config.channels, config.blocks, config.features),
            "discriminator": Discriminator(config.channels, config.family),
        }
        return built | ({"features": Features(config.channels)} if config.psi == FEATURE else {})

    def _update(self, phase: str) -> Row:
        if phase == "features":
            return self._update_features()
        row: Row = {}
        if phase != "discriminator":
            for _ in range(self.config.refiner_steps if phase == "both" else 1):
                row |= self._update_refiner(adversarial=phase == "both")
        if phase != "refiner":
            for _ in range(self.config.discriminator_steps if phase == "both" else 1):
                row |= self._update_discriminator()
        return row

    def _update_features(self) -> Row:
        """Let the features learn to restore noisy pictures of both sets; the last update measures their unit."""
        features = self.networks["features"]
        assert isinstance(features, Features)
        start = self.counters["synthetic"]
        clean = standardised(torch.cat([self._next(self.synthetic, "synthetic"), self._next(self.real, "real")]))
        noise = stream(self.config.seed, start, "refiner.features").standard_normal(clean.shape, "float32")
        noisy = clean + FEATURES_NOISE * torch.from_numpy(noise).to(self.device)
        loss = (features.restored(noisy) - clean).square().mean()
        self._descend("features", loss)
        if self.position[1] + 1 == self.config.pretrain_features:
            features.measure(self.probes)
        return {"regularization": float(loss.detach())}

    def _update_refiner(self, adversarial: bool) -> Row:
        """Descend by the regularization; of the picture itself while pre-training, then of psi, with the adversary."""
        raw = self._next(self.synthetic, "synthetic")
        refined = self.refiner(raw)
        psi = self.psi if adversarial else losses.PSI["identity"]
        kept = losses.self_regularization(psi, refined, raw, self.patches)
        loss = self.config.lam * kept
        row = {"regularization": float(kept.detach()) / self.patches}
        if adversarial:
            fooled = losses.refiner_loss(self.discriminator(refined))
            loss = loss + fooled
            row["adversarial"] = float(fooled.detach()) / self.patches
        self._descend("refiner", loss)
        return row | {"refiner": float(loss.detach()) / self.patches}

    def _update_discriminator(self) -> Row:
        with torch.no_grad():
            refined = self.pool.mix(self.refiner(self._next(self.synthetic, "synthetic")))
        told_refined = self.discriminator(refined)
        told_real = self.discriminator(self._next(self.real, "real"))
        loss = losses.discriminator_loss(told_refined, told_real)
        self._descend("discriminator", loss)
        accuracy = float(losses.patch_accuracy(told_refined, told_real))
        return {"discriminator": float(loss.detach()) / self.patches, "accuracy": accuracy}

    def _next(self, pictures: PictureSet, name: str) -> Tensor:
        return pictures.pictures[self._places(pictures, name)].float().to(self.device)

    def refine(self, pictures: Tensor) -> Tensor:
        """Return refined pictures (B, C, H, W), without gradients."""
        with torch.inference_mode():
            return self.refiner(pictures)

    def refine_probes(self) -> Tensor:
        """Return the probes refined."""
        return self.refine(self.probes)

    def _state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors, counters = self.pool.state()
        return {f"pool.{name}": tensor for name, tensor in tensors.items()}, {"pool": counters}

    def _resume(self, tensors: dict[str, Tensor], data: dict[str, Any]) -> None:
        self.pool.restore(under(tensors, "pool"), data["pool"])
