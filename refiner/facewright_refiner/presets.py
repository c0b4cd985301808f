"""What a learned refiner is trained with: presets, and changes to them in the words of `--set`."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from facewright import dist
from facewright.errors import RecipeError
from facewright.recipe import parse_yaml
from facewright_refiner.learned import Scope
from facewright_refiner.losses import PSI
from facewright_refiner.modern import NOISE, SCALES, multiple_of
from facewright_refiner.networks import FAMILIES as PAPERS

MODERN = "modern"
FAMILIES = (*PAPERS, MODERN)
"""Of networks: the paper's two, and ours."""
PRECISIONS = ("fp32", "bf16", "auto")
FEATURE = "feature"
"""The psi that is learned, networks.Features."""
OPTIMIZERS = ("sgd", "adam")
LOOKS = ("gray", "colour", "depth")


def _number(default: float, low: float, high: float, doc: str) -> Any:
    return _field(default, dist.Param(dist.Constant(default), low, high, (), "", doc, ""))


def _word(default: str | bool, choices: Sequence[str], doc: str) -> Any:
    return _field(default, dist.Param(dist.Constant(default), None, None, tuple(choices), "", doc, ""))


def _field(default: Any, spec: dist.Param) -> Any:
    return dataclasses.field(default=default, metadata={"param": spec})


@dataclass(frozen=True)
class Config:
    """All that decides a training run beside its pictures; the defaults are the preset `simgan`.

    What only one family of networks knows stands last, and others ignore it. An *iteration* is K_g refiner and K_d
    discriminator updates. docs/refiner.md says which numbers are the paper's.
    """

    preset: str = "simgan"
    seed: int = _number(0, 0, 2**63 - 1, "of weights, order of pictures and history")
    look: str = _word("gray", LOOKS, "of pictures: luma, sRGB, or depth maps")
    width: int = _number(55, 24, 1024, "px of a picture")
    height: int = _number(35, 24, 1024, "px of a picture")
    crop: float = _number(1.0, 0.05, 1.0, "middle share of a synthetic picture's width that is shown")
    family: str = _word("eye", FAMILIES, "of networks")
    blocks: int = _number(4, 1, 32, "residual blocks of the refiner; levels of a modern one")
    features: int = _number(64, 4, 256, "feature maps of the refiner")
    psi: str = _word("identity", (*PSI, FEATURE), "what self-regularization keeps")
    lam: float = _number(7.6, 0, 1e4, "its weight, see losses.py")
    batch: int = _number(512, 2, 8192, "pictures of a mini-batch")
    pool: int = _number(12_800, 2, 1_000_000, "pictures of the history")
    optimizer: str = _word("sgd", OPTIMIZERS, "plain gradient descent, or Adam with betas 0.5, 0.999")
    lr: float = _number(1e-3, 1e-7, 10, "learning rate of both networks")
    pretrain_features: int = _number(300, 1, 10**7, "updates of what the psi `feature` sees, before all else")
    pretrain_refiner: int = _number(1000, 0, 10**7, "updates by self-regularization alone")
    pretrain_discriminator: int = _number(200, 0, 10**7, "updates against the pre-trained refiner")
    refiner_steps: int = _number(2, 1, 1000, "K_g, refiner updates of an iteration")
    discriminator_steps: int = _number(1, 1, 1000, "K_d, discriminator updates of an iteration")
    steps: int = _number(10_000, 0, 10**8, "iterations")
    log_every: int = _number(10, 1, 10**6, "updates (iterations) between rows of metrics.csv")
    save_every: int = _number(200, 1, 10**6, "iterations between checkpoints")
    sample_every: int = _number(200, 1, 10**6, "iterations between grids of samples")
    drift_limit: float = _number(0.3, 0, 10, "px of the view by which the best checkpoint may move pupils (95 %)")
    camera: str = _word("none", (), "profile between refiner and critic, a name or a .yaml file; modern")
    pretrain_judge: int = _number(0, 0, 10**7, "updates of the judge of labels; modern")
    budget: float = _number(0.02, 1e-4, 0.5, "mean change of pictures, of full contrast, that lam is driven to; modern")
    keep: float = _number(20.0, 0, 1e4, "weight of what the judge sees; modern")
    penalty: float = _number(1.0, 0, 1e4, "weight of the critic's gradient penalties R1 and R2; modern")
    patch: int = _number(24, 8, 256, "side of the critic's finer patches, px; modern")
    augment: float = _number(0.5, 0, 1, "probability of each augmentation of patches, for small real sets; modern")
    average: float = _number(
        0.995, 0, 1, "decay of the average of the refiner's weights, which is what is saved; modern"
    )
    precision: str = _word("fp32", PRECISIONS, "bf16 where the processor has it; modern")
    accumulate: int = _number(1, 1, 1024, "parts that a mini-batch is computed in; modern")
    compile: bool = _word(False, (), "torch.compile the refiner; needs a C++ compiler; modern")

    @property
    def channels(self) -> int:
        """Channels of a picture."""
        return 3 if self.look == "colour" else 1

    @property
    def guided(self) -> bool:
        """Whether the refiner sees guides and noise."""
        return self.family == MODERN

    @property
    def scope(self) -> Scope:
        """What of this decides how a refiner is applied."""
        multiple, noise = (multiple_of(self.blocks), NOISE) if self.guided else (1, 0)
        return Scope(self.look, self.width, self.height, self.crop, multiple, noise)

    def schedule(self) -> dict[str, int]:
        """Return the phases in order and how many steps each has."""
        return {
            "features": self.pretrain_features if self.psi == FEATURE and not self.guided else 0,
            "judge": self.pretrain_judge,
            "refiner": self.pretrain_refiner,
            "discriminator": self.pretrain_discriminator,
            "both": self.steps,
        }

    def updates(self, phase: str) -> int:
        """Return how many network updates a step of `phase` is."""
        return self.refiner_steps + self.discriminator_steps if phase == "both" else 1

    def to_data(self) -> dict[str, Any]:
        """Return plain data that `from_data` reads back."""
        return dataclasses.asdict(self)

    @staticmethod
    def from_data(data: Mapping[str, Any], where: str = "") -> Config:
        """Return the checked config that `data` means; what it leaves out is the preset's."""
        name = data.get("preset", "simgan")
        if name not in PRESETS:
            raise RecipeError(
                f"{where}no preset {name!r}{dist.nearest(name, list(PRESETS))} (there are {', '.join(PRESETS)})"
            )
        kinds = {field.name: field for field in dataclasses.fields(Config) if field.name != "preset"}
        values: dict[str, Any] = {"preset": name, **PRESETS[name]}
        for key, value in data.items():
            if key == "preset":
                continue
            if key not in kinds:
                raise RecipeError(f"{where}unknown key {key!r}{dist.nearest(key, list(kinds))}")
            values[key] = kinds[key].metadata["param"].check(value, str(kinds[key].type), f"{where}{key}")
        return _consistent(Config(**values), where)

    @staticmethod
    def of(preset: str, changes: Sequence[str] = (), **options: Any) -> Config:
        """Return `preset` with changes as "key=value", the value in YAML, and `options` that are not None."""
        data: dict[str, Any] = {"preset": preset}
        for change in changes:
            key, mark, text = change.partition("=")
            if not mark or not key:
                raise RecipeError(f"--set {change!r}: expected key=value")
            data[key.strip()] = _value(text, f"--set {key}")
        return Config.from_data(data | {key: value for key, value in options.items() if value is not None})


def _value(text: str, where: str) -> Any:
    """Return what `text` means in YAML, but "1e-4" as a number too, which YAML 1.1 takes for a word."""
    value = parse_yaml(text, where)
    with contextlib.suppress(ValueError):
        return float(value) if isinstance(value, str) else value
    return value


def _consistent(config: Config, where: str) -> Config:
    if config.psi == "mean-colour" and config.channels == 1:
        raise RecipeError(f"{where}psi: mean-colour needs pictures in colour, these are {config.look}; take identity")
    if (config.look == "depth") != (config.family == "depth"):
        raise RecipeError(f"{where}family: {config.family} networks are not for {config.look} pictures")
    if not config.guided:
        return config
    multiple = multiple_of(config.blocks)
    for name in ("width", "height"):
        if getattr(config, name) % multiple:
            raise RecipeError(f"{where}{name}: {getattr(config, name)} is not a multiple of {multiple}, 2 ^ blocks")
    if SCALES * config.patch > min(config.width, config.height):
        raise RecipeError(
            f"{where}patch: {SCALES} x {config.patch} px do not fit into {config.width} x {config.height} px"
        )
    if config.batch % config.accumulate:
        raise RecipeError(f"{where}accumulate: {config.batch} pictures cannot be split into {config.accumulate} parts")
    return config


def _modern(width: int, height: int, **more: Any) -> dict[str, Any]:
    """Return a preset of the modern family; its numbers are reasoned, and tried on eyes of 80 x 48 px."""
    return {
        "look": "colour",
        "width": width,
        "height": height,
        "family": MODERN,
        "blocks": 3,
        "features": 32,
        "lam": 1.0,
        "batch": 16,
        "optimizer": "adam",
        "lr": 3e-4,
        "pretrain_judge": 600,
        "pretrain_refiner": 0,
        "pretrain_discriminator": 50,
        "refiner_steps": 1,
        "steps": 6000,
        **more,
    }


PRESETS: dict[str, dict[str, Any]] = {
    "simgan": {},
    "simgan-colour": {"look": "colour", "psi": "mean-colour"},
    "simgan-depth": {
        "look": "depth",
        "family": "depth",
        "width": 224,
        "height": 224,
        "blocks": 10,
        "batch": 32,
        "pool": 1280,
    },
    "modern": _modern(80, 48, camera="webcam"),
    "modern-nir": _modern(160, 120, look="gray", patch=32, camera="nir_eye"),
    "modern-face": _modern(256, 256, patch=64, blocks=4, camera="webcam"),
}
"""Differences to Config's defaults. Batch and history of `simgan-depth` are ours: 512 such maps need much memory."""
