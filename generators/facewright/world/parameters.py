"""Where the person looks, how the head is held, and what camera and light there are.

Angles of gaze and head are (pitch, yaw) with the signs of the label contract: +pitch up, +yaw toward image-left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from facewright.dist import Choice, Given, LogUniform, Normal, Uniform, choice, param

STUDIO_HDRIS = ("city", "courtyard", "forest", "interior", "night", "studio", "sunrise", "sunset")
"""The eight CC0 maps that every Blender carries (datafiles/studiolights/world)."""
LAYOUTS = ("none", "ring", "arc", "pair", "L", "list")
"""LED layouts, seen by the camera: all round; the lower half; left and right; a row below and a column at the left that
share a corner, as glint trackers have it; or the user's own `led_positions_mm`."""
MAX_LEDS = 32
LAMP_NUMBERS, MAX_LAMPS = 12, 16
ON_AXIS_SHARE = 0.3
"""Share of the camera's own layouts that lie so close to its axis that the pupil lights up."""


def _led_radius(values: Mapping[str, Any], u: Sequence[float]) -> float:
    """Draw the radius of the LED layout: the rim of a headset's lens, the rim of a camera, or close to its axis."""
    if values["light.led_mount"] == "headset":
        return 16 + 7 * u[1]
    return 0.8 + 0.8 * u[1] if u[0] < ON_AXIS_SHARE else 10 + 14 * u[1]


OUTDOORS = ("courtyard", "forest", "sunrise", "sunset")
"""Those under open sky: people squint there."""
KEY_KINDS = ("softbox", "window", "screen", "ring", "flash")
BACKDROPS = ("map", "blur", "paper", "wall", "room", "garden", "bokeh", "picture")


def _gaze(sd: float, low: float, high: float, mean: float = 0.0) -> Given:
    """Return a Given for a gaze angle: round the head's axis, or, where it is counted from the camera, mostly at it."""
    wide, near = Normal(mean, sd, low, high), Normal(0, 1.5, -4, 4)

    def draw(values: Mapping[str, Any], u: Sequence[float]) -> float:
        at_camera = values["gaze.reference"] == "camera" and u[1] < AT_CAMERA_SHARE
        return float((near if at_camera else wide).draw(u[:1]))

    return Given(draw, 2)


AT_CAMERA_SHARE = 0.87
"""Share of people whose yaw, and of those whose pitch, is the camera's where gaze is counted from it: three quarters
look into the lens; reasoned for portraits and calls."""


def _key_strength(values: Mapping[str, Any], u: Sequence[float]) -> float:
    """Draw the key's strength: a flash outshines the room, other keys shade the face as in photographs."""
    low, high = (1.0, 4.0) if values["light.key_kind"] == "flash" else (0.2, 3.0)
    return low * (high / low) ** u[0]


def _key_azimuth(values: Mapping[str, Any], u: Sequence[float]) -> float:
    """Draw the key's azimuth: one in eight shines from behind."""
    if u[0] < 0.12:
        return (130 + 45 * u[1]) * (1 if u[2] < 0.5 else -1)
    return -110 + 220 * u[1]


@dataclass(frozen=True)
class Gaze:
    """The 3-D point that both eyes fixate."""

    reference: str = param(
        "head",
        choices=("head", "camera"),
        doc="direction that yaw and pitch are counted from: the head's forward axis, or the line to the camera",
    )
    yaw_deg: float = param(_gaze(14, -35, 35), -60, 60, unit="deg", doc="+ toward image-left of a frontal face")
    pitch_deg: float = param(_gaze(10, -28, 25, -3), -45, 40, unit="deg", doc="+ up")
    distance_mm: float = param(LogUniform(300, 3000), 100, 100000, unit="mm", doc="to the fixated point")


@dataclass(frozen=True)
class Pose:
    """Rotation of the head against the upright torso that faces world front."""

    head_yaw_deg: float = param(Normal(0, 15, -45, 45), -90, 90, unit="deg", doc="+ toward image-left")
    head_pitch_deg: float = param(Normal(0, 9, -28, 28), -45, 45, unit="deg", doc="+ up")
    head_roll_deg: float = param(Normal(0, 6, -22, 22), -45, 45, unit="deg", doc="+ clockwise in the image")


@dataclass(frozen=True)
class Camera:
    """A pinhole camera, placed around its target in the frame of world or head."""

    mount: str = param("world", choices=("world", "head"), doc="does the camera move with the head (headset)?")
    target: str = param("face", choices=("face", "left_eye", "right_eye"), doc="what the camera is aimed at")
    azimuth_deg: float = param(
        Normal(0, 12, -40, 40),
        -120,
        120,
        unit="deg",
        doc="camera position about the vertical axis, + toward the subject's left",
    )
    elevation_deg: float = param(Normal(0, 8, -25, 30), -70, 70, unit="deg", doc="camera position, + above")
    roll_deg: float = param(Normal(0, 2, -8, 8), -180, 180, unit="deg", doc="camera roll, + clockwise image")
    distance_mm: float = param(Uniform(450, 900), 15, 20000, unit="mm", doc="pinhole to target")
    field_mm: float = param(
        Normal(300, 25, 240, 380),
        10,
        5000,
        unit="mm",
        doc="width of the image in the target's plane; sets the focal length",
    )
    shift_x: float = param(Normal(0, 0.03, -0.1, 0.1), -0.5, 0.5, doc="target's offset from the image centre, / width")
    shift_y: float = param(Normal(0, 0.03, -0.1, 0.1), -0.5, 0.5, doc="target's offset from the image centre, / width")


@dataclass(frozen=True)
class Light:
    """Image-based light plus one lamp, window, screen or ring light, lamps of the user's own, or infrared LEDs."""

    hdri: str = param(choice(*STUDIO_HDRIS), doc="a built-in map, a file in light.hdri_folder, or 'none'")
    hdri_rotation_deg: float = param(Uniform(0, 360), 0, 360, unit="deg", doc="about the vertical axis")
    hdri_strength: float = param(LogUniform(0.5, 1.6), 0, 100, doc="after normalising the map's mean luminance to 1")
    key_kind: str = param(
        choice(softbox=2, window=3, screen=2, ring=0.6, flash=0.7),
        choices=KEY_KINDS,
        doc="what shines beside the map, and shows in the cornea: a softbox, a window with panes, a screen under the "
        "camera, a ring light round it, a flash above it",
    )
    key_strength: float = param(Given(_key_strength), 0, 100, doc="key light, relative to the map")
    key_azimuth_deg: float = param(Given(_key_azimuth, 3), -180, 180, unit="deg", doc="position, + subject's left")
    key_elevation_deg: float = param(Normal(30, 20, -20, 75), -90, 90, unit="deg", doc="position, + above")
    key_size_mm: float = param(
        LogUniform(80, 900), 1, 10000, unit="mm", doc="edge of the softbox; window, screen and ring scale with it"
    )
    key_temperature_k: float = param(
        Normal(5400, 1100, 2700, 8500),
        1500,
        15000,
        unit="K",
        doc="colour temperature that the camera's white balance leaves",
    )
    rim_strength: float = param(
        Given(lambda v, u: 0.3 + 2.2 * u[1] if u[0] < 0.22 else 0.0, 2),
        0,
        100,
        doc="light from behind on hair and cheek, relative to the map; 0: none",
    )
    rim_azimuth_deg: float = param(
        Given(lambda v, u: (125 + 35 * u[0]) * (1 if u[1] < 0.5 else -1), 2),
        -180,
        180,
        unit="deg",
        doc="its position, + subject's left",
    )
    lamps: tuple[float, ...] = param(
        (),
        -1e7,
        1e7,
        doc="lamps of your own, 12 numbers each: place (world mm), direction, width, height (mm; height 0: a ball), "
        "full angle of what is lit (deg), power of red, green, blue (W)",
        sizes=range(0, LAMP_NUMBERS * MAX_LAMPS + 1, LAMP_NUMBERS),
    )
    leds: str = param("none", choices=LAYOUTS, doc="infrared LEDs: how they are laid out")
    led_mount: str = param(
        "camera",
        choices=("camera", "headset"),
        doc="layout round the lens of the camera, or round the headset's lens in front of the eye",
    )
    led_count: int = param(Choice((6, 8, 10, 12), (1, 1, 1, 1)), 1, MAX_LEDS, doc="LEDs in a ring, arc or L")
    led_radius_mm: float = param(
        Given(_led_radius, 2),
        0.5,
        500,
        unit="mm",
        doc="radius of the layout; half the length of an L's rows",
        source="reasoned: headset lenses are 35 to 50 mm wide; remote bright pupils need the LED within some 2.5 deg",
    )
    led_distance_mm: float = param(
        Uniform(30, 40),
        15,
        500,
        unit="mm",
        doc="mount headset: eyeball centre to the plane of the LEDs, along the head's forward axis",
        source="reasoned: 13 mm to the cornea, and eye reliefs of 15 to 25 mm and lens rims behind them",
    )
    led_roll_deg: float = param(
        Uniform(-20, 20), -180, 180, unit="deg", doc="turns the layout in its plane, + clockwise for the camera"
    )
    led_positions_mm: tuple[float, ...] = param(
        (),
        -5000,
        5000,
        unit="mm",
        doc="leds list: x, y, z of each LED in camera axes, one after the other",
        sizes=range(0, 3 * MAX_LEDS + 1, 3),
    )
    led_strength: float = param(LogUniform(0.6, 1.6), 0, 100, doc="irradiance relative to a well-exposed image")


@dataclass(frozen=True)
class Backdrop:
    """What stands behind the person; it gives no light."""

    kind: str = param(
        choice(map=5, blur=4, paper=3, wall=3, room=5, garden=2, bokeh=1.5),
        choices=BACKDROPS,
        doc="the environment map, sharp or out of focus; painted paper, wall, room, garden or lights of the night; or "
        "one of the user's pictures",
    )
    picture: str = param("none", doc="kind picture: a file in backdrop_folder")
    hue: float = param(Uniform(0, 1), 0, 1, doc="hue of paper, wall or room")
    saturation: float = param(Given(lambda v, u: 0.7 * u[0] ** 2), 0, 1, doc="saturation of paper, wall or room")
    value: float = param(Uniform(0.1, 0.95), 0, 1, doc="brightness of paper, wall or room")
    blur: float = param(
        LogUniform(0.01, 0.06), 0, 0.3, doc="blur of what is painted or a picture: sigma as a share of its width"
    )
    gain: float = param(LogUniform(0.5, 1.6), 0, 100, doc="its light, relative to a wall in the scene's mean light")


@dataclass(frozen=True)
class Image:
    """Sampling and exposure of the raw render; the camera's own flaws belong to the refiner."""

    width: int = param(512, 16, 8192, unit="px", doc="image width")
    height: int = param(512, 16, 8192, unit="px", doc="image height")
    spectrum: str = param("rgb", choices=("rgb", "nir"), doc="visible colour or near infrared (850 nm) grey")
    exposure_ev: float = param(Normal(0, 0.45, -1.3, 1.3), -10, 10, unit="EV", doc="around automatic exposure")
    samples: int = param(24, 1, 65536, doc="Cycles samples per pixel")
    denoise: bool = param(True, doc="OpenImageDenoise after Cycles, where Blender has it")
