"""SensorParams: everything one simulated photograph was taken with, as plain numbers.

Every field's default is neutral: a SensorParams of defaults is the ideal camera, linear light in, sRGB out. Lengths in
px are pixels of the sensor, whose grid is `scale` times the frame's.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from facewright import dist
from facewright.dist import Choice, Uniform, param
from facewright.errors import RecipeError


@dataclass(frozen=True)
class Grade:
    """Brightness, contrast and colour that a picture is finished to, as a real one has them: its colour grade.

    `mean` and `deviation` are of luma, blue minus luma and red minus luma (BT.601, of sRGB values in [0, 1]), measured
    on the picture's middle share `crop`. `strength` says how far a picture is taken there, 0 = not at all.
    """

    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]
    crop: float = 1.0
    strength: float = 1.0


@dataclass(frozen=True)
class SensorParams:
    """One draw of a camera. The fields above `scale` are what a profile may give distributions for.

    A picture is finished to that of `grades` which asks least of it.
    """

    shade_ev: float = param(
        0.0,
        0,
        4,
        unit="EV",
        doc="light falls off along `shade_deg` by this much across the frame",
        source="a lamp at one side, 0.5 m away: inverse square over 0.15 m of face is 0.8 EV",
    )
    shade_deg: float = param(Uniform(0, 360), 0, 360, unit="deg", doc="direction of brighter light, from +x toward +y")
    vignette_ev: float = param(
        0.0,
        0,
        4,
        unit="EV",
        doc="loss in the corner of the frame",
        source="cos^4 law: 0.8 EV at 30 deg of half-diagonal field",
    )
    flare: float = param(
        0.0,
        0,
        0.5,
        doc="veiling glare: share of the mean light that is spread evenly",
        source="ISO 18844: phones and webcams 1-5 %, more with a fingerprint on the lens",
    )
    meter: float = param(0.0, 0, 1, doc="how far auto-exposure pulls the mean luminance to 18 % grey; 0 = not at all")
    exposure_ev: float = param(0.0, -6, 6, unit="EV", doc="exposure after metering")
    warm_ev: float = param(
        0.0,
        -2,
        2,
        unit="EV",
        doc="white-balance error: red over blue",
        source="5000 K balanced as 6500 K is +0.45 EV; cameras leave tungsten 0.3-0.8 EV warm",
    )
    tint_ev: float = param(
        0.0, -1, 1, unit="EV", doc="white-balance error: green over red and blue", source="fluorescent lamps 0.1-0.3 EV"
    )
    px_per_mm: float = param(
        0.0,
        0,
        500,
        unit="px/mm",
        doc="sensor pixels per mm at the subject; 0 = the frame's own grid",
        source="image width in px / (2 * distance * tan(field of view / 2))",
    )
    blur_px: float = param(
        0.0,
        0,
        16,
        unit="px",
        doc="standard deviation of lens and anti-alias blur",
        source="diffraction f/2, 1.4 um pixels: 0.3 px; small plastic lenses 0.5-1.2 px",
    )
    defocus_px: float = param(0.0, 0, 16, unit="px", doc="radius of the defocus disc")
    motion_px: float = param(
        0.0,
        0,
        32,
        unit="px",
        doc="length of the (centred) motion streak",
        source="a head at 20 mm/s, 1/30 s, 2 px/mm: 1.3 px",
    )
    motion_deg: float = param(Uniform(0, 180), 0, 180, unit="deg", doc="direction of motion, from +x toward +y")
    mosaic: str = param("none", choices=("none", "bayer", "mono"), doc="colour filter: none (binned), Bayer, or mono")
    cfa: str = param(
        Choice(("BG", "GB", "RG", "GR"), (1.0,) * 4),
        choices=("BG", "GB", "RG", "GR"),
        doc="phase of the Bayer pattern, OpenCV names",
    )
    headroom_ev: float = param(
        0.0,
        0,
        4,
        unit="EV",
        doc="the sensor saturates this far above sRGB white",
        source="0 where gain is digital, 1-2 in phones that expose for highlights",
    )
    shot: float = param(
        0.0,
        0,
        0.5,
        doc="shot noise: standard deviation at white, share of white",
        source="1 / sqrt(electrons at white): 0.01 = 10,000 e- (daylight), 0.05 = 400 e- (dim room)",
    )
    read: float = param(
        0.0,
        0,
        0.2,
        doc="read noise: standard deviation in the dark, share of white",
        source="2-5 e- over the electrons at white: 0.0003 (daylight) to 0.01 (dim room)",
    )
    saturation: float = param(1.0, 0, 3, doc="chroma gain of the colour matrix; below 1 is pale")
    shoulder: float = param(0.0, 0, 0.5, doc="softness of highlight compression; 0 clips at white")
    contrast: float = param(1.0, 0.3, 3, doc="exponent of an S-curve about mid-grey in sRGB values")
    gamma: float = param(1.0, 0.3, 3, doc="exponent on sRGB values; below 1 brightens mid-tones")
    chroma_px: float = param(0.0, 0, 16, unit="px", doc="standard deviation of the ISP's chroma noise filter")
    sharpen: float = param(0.0, 0, 3, doc="amount of unsharp masking on luma")
    sharpen_px: float = param(1.0, 0.3, 6, unit="px", doc="its radius (standard deviation); sets the width of halos")
    jpeg: float = param(100.0, 1, 100, doc="JPEG quality, 4:2:0; 100 = not compressed")
    gray: bool = param(False, doc="the data set is grey (BT.601 luma)")
    equalise: bool = param(False, doc="the data set equalises histograms (luma), as MPIIGaze's normalised patches")
    scale: float = 1.0
    seed: int = 0
    index: int = 0
    attempt: int = 0
    grades: tuple[Grade, ...] = ()

    @property
    def noise_stream(self) -> tuple[int, int, str]:
        """Seed, index and name of the stream that the sensor noise comes from."""
        return self.seed, self.index, stream_name("noise", self.attempt)

    def to_data(self) -> dict[str, Any]:
        """Return data that JSON gives back as it is; `from_data` is its inverse."""
        grades = [dataclasses.asdict(one) | {"mean": [*one.mean], "deviation": [*one.deviation]} for one in self.grades]
        return dataclasses.asdict(self) | {"grades": grades}

    @staticmethod
    def from_data(data: Mapping[str, Any]) -> SensorParams:
        """Return the parameters that `to_data` wrote; RecipeError names a field that is unknown or missing."""
        known = [field.name for field in dataclasses.fields(SensorParams)]
        for key in data:
            if key not in known:
                raise RecipeError(f"sensor parameters: unknown key {key!r}{dist.nearest(key, known)}")
        for key in known:
            if key not in data:
                raise RecipeError(f"sensor parameters: needs the key {key!r}")
        grades = (
            Grade(tuple(one["mean"]), tuple(one["deviation"]), one["crop"], one["strength"]) for one in data["grades"]
        )
        return SensorParams(**{**data, "grades": tuple(grades)})


@cache
def parameters() -> dict[str, tuple[dist.Param, str]]:
    """Return what a profile may give distributions for: name -> (Param, kind in float|str|bool)."""
    hints = typing.get_type_hints(SensorParams)
    return {
        field.name: (field.metadata["param"], hints[field.name].__name__)
        for field in dataclasses.fields(SensorParams)
        if "param" in field.metadata
    }


def default_of(name: str) -> dist.Dist:
    """Return the distribution of parameter `name` where a profile gives none: the ideal camera's value."""
    default = parameters()[name][0].default
    assert not isinstance(default, dist.Given)
    return default


def neutral() -> SensorParams:
    """Return the ideal camera."""
    values: dict[str, Any] = {name: default_of(name).draw((0.0,)) for name in parameters()}
    return SensorParams(**values)


def milder(params: SensorParams, strength: float) -> SensorParams:
    """Return `params` moved toward the ideal camera, down to `strength` 0; a Bayer mosaic is dropped, flags stay."""
    rest = neutral()
    mosaic = "none" if params.mosaic == "bayer" else params.mosaic
    changes: dict[str, Any] = {"scale": 1 + strength * (params.scale - 1), "mosaic": mosaic}
    for name, (_, kind) in parameters().items():
        if kind == "float" and not name.endswith("_deg") and name != "px_per_mm":
            low = getattr(rest, name)
            changes[name] = low + strength * (getattr(params, name) - low)
    changes["grades"] = tuple(dataclasses.replace(one, strength=strength * one.strength) for one in params.grades)
    return dataclasses.replace(params, **changes)


def stream_name(name: str, attempt: int) -> str:
    """Return the random stream of field `name`; later attempts at the same frame draw from streams of their own."""
    return f"refiner.sensor.{name}" + (f"#{attempt}" if attempt else "")
