"""CyclesRenderer: samples in, frames out. One per process: Blender is global."""

from __future__ import annotations

import math
import sys
import tempfile
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facewright import labels, process
from facewright.dataset import exr
from facewright.errors import FacewrightError, RenderError, UserError
from facewright.eye.iris import iris_albedo, sclera_albedo
from facewright.eye.periorbita import periorbita
from facewright.face.complexion import complexion, drives
from facewright.face.expression import squint
from facewright.face.skin import complexion_tint, mean_albedo, relief_tile
from facewright.figure import Figure, build_figure, strands, surfaces
from facewright.geometry.mesh import Mesh
from facewright.geometry.strands import Strands
from facewright.recipe import DEFAULT_OUTPUTS
from facewright.render import Frame
from facewright.sample import Sample
from facewright.scene import compat, passes, upload
from facewright.scene.materials import MATERIALS
from facewright.scene.nodes import Graph
from facewright.scene.world import backdrop_plane, camera_object, illuminant, lamps, led_radiance, world_light
from facewright.schema import COVERING, MATTE_CHANNELS
from facewright.truth import Truth

Array = np.ndarray

DEVICES = ("auto", "cpu", "cuda", "optix", "hip", "metal", "oneapi")
NO_DENOISER_FACTOR = 3
"""Samples are multiplied by this where Blender has no denoiser (Debian's builds)."""
LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
WHITE_BALANCE = 0.75
"""Share of the illuminant's colour that automatic white balance removes; what is left keeps evenings warm."""
DEFAULT_VIEW_LAYER = "ViewLayer"


@dataclass(frozen=True)
class Draft:
    """All of a frame that needs no Blender: the Figure, its truth, what grows on it, its textures; and the seconds."""

    figure: Figure
    truth: Truth
    parts: list[Mesh]
    hair: list[Strands]
    textures: dict[str, Array]
    seconds: float


class CyclesRenderer:
    """Images samples with Cycles. A context manager; see render.Renderer.

    `device` is one of DEVICES (auto: the first GPU that works, else cpu), `hdri_folder` a folder of the user's
    environment maps, `threads` the number of CPU threads (None: all), `backdrop_folder` one of the user's backdrops.
    """

    def __init__(
        self,
        device: str = "auto",
        hdri_folder: Path | None = None,
        threads: int | None = None,
        backdrop_folder: Path | None = None,
    ) -> None:
        if device not in DEVICES:
            raise UserError(f"device {device!r} is not one of {', '.join(DEVICES)}")
        self.bpy = compat.import_bpy(threads)
        self.device, self.threads = device, threads
        self.hdri_folder, self.backdrop_folder = hdri_folder, backdrop_folder
        self.about: dict[str, Any] = {}
        self._means: dict[str, Array] = {}
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> CyclesRenderer:
        self._folder = process.scratch()
        used = self._choose_device()
        self._denoiser = compat.has_denoiser()
        if not self._denoiser:
            warnings.warn(
                f"this Blender was built without OpenImageDenoise; rendering {NO_DENOISER_FACTOR} x the "
                "samples instead",
                stacklevel=2,
            )
        self.about = {
            "renderer": "cycles",
            "blender": self.bpy.app.version_string,
            "device": used,
            "denoiser": self._denoiser,
            "python": sys.version.split()[0],
        }
        return self

    def __exit__(self, *exc: object) -> None:
        if self._folder:
            self._folder.cleanup()

    def draft(self, sample: Sample) -> Draft:
        """Return the draft of `sample`; a pure function."""
        start = time.perf_counter()
        figure = build_figure(sample)
        with ThreadPoolExecutor(1) as pool:  # surfaces and hair grow while textures are painted
            painted = pool.submit(textures, figure)
            truth, parts, hair = labels.truth(figure), surfaces(figure), strands(figure)
            return Draft(figure, truth, parts, hair, painted.result(), time.perf_counter() - start)

    def __call__(self, sample: Sample, outputs: tuple[str, ...] = DEFAULT_OUTPUTS, draft: Draft | None = None) -> Frame:
        """Return the frame of `sample`; raises RenderError with Blender's reason."""
        try:
            return self._frame(draft or self.draft(sample), outputs)
        except FacewrightError:
            raise
        except (RuntimeError, ValueError, KeyError, OSError) as error:
            raise RenderError(f"frame {sample.index}: Blender could not render it ({error})") from error

    def _frame(self, draft: Draft, outputs: tuple[str, ...]) -> Frame:
        figure, truth, sample = draft.figure, draft.truth, draft.figure.sample
        clock = _Clock({"draft": draft.seconds})
        self._clear()
        scene, groups = self.build(draft)
        clock.lap("build")
        beauty = self._render(scene, "beauty")
        clock.lap("beauty")
        linear = _rgb(beauty).astype(np.float32)
        layers, truth = self._label_layers(scene, groups, outputs, draft)
        layers["glint"] = np.zeros(layers["depth"].shape, np.uint8)
        if len(figure.leds):
            glints, shine = self._glints(scene, groups, figure, truth)
            linear += shine
            if not figure.glasses:
                layers["glint"] = glints
        clock.lap("labels")
        linear *= exposure(linear, sample, truth.face_box) * self._white_balance(figure)
        if sample.image.spectrum == "nir":
            linear = np.repeat(linear.mean(axis=2, keepdims=True), 3, axis=2)
        layers["rgb"] = encode_srgb(linear)
        if "linear" in outputs:
            layers["linear"] = linear
        truth = labels.with_glints(truth, layers["glint"])
        layers = {name: layer for name, layer in layers.items() if name == "rgb" or name in outputs}
        clock.lap("read")
        return Frame(sample, layers, truth, [], clock.seconds, self.about)

    def build(self, draft: Draft) -> tuple[Any, dict[str, list[Any]]]:
        """Build `draft` in the current scene; return the scene and its objects by label role."""
        bpy, figure = self.bpy, draft.figure
        scene = bpy.context.scene
        images = {name: upload.float_image(bpy, name, pixels) for name, pixels in draft.textures.items()}
        groups = self.body(figure, draft.parts, draft.hair, images, scene.collection)
        scene.camera = camera_object(bpy, figure.camera, scene.collection)
        mirrors = [thing for thing in groups["eyes"] if thing.pass_index == passes.CORNEA] + groups["clear"]
        lamps(bpy, figure, scene.collection, mirrors)
        scene.world = world_light(bpy, figure, self.hdri_folder, self._means)
        backdrop_plane(bpy, figure, self.backdrop_folder, self._means, scene.collection)
        self._settings(scene, figure.sample)
        return scene, groups

    def body(
        self, figure: Figure, parts: list[Mesh], hair: list[Strands], images: dict[str, Any], collection: Any
    ) -> dict[str, list[Any]]:
        """Build the person of `figure` in `collection`; return the objects by label role.

        `parts` and `hair` are its surfaces and strands, `images` Blender's for TEXTURES.
        """
        bpy, sample = self.bpy, figure.sample
        materials: dict[tuple[str, str], Any] = {}

        def material(name: str, key: str = "") -> Any:
            if (name, key) not in materials:
                made = bpy.data.materials.new(name + key)
                g = Graph(compat.use_nodes(made))
                g.output(MATERIALS[name](g, sample, images))
                materials[name, key] = made
            return materials[name, key]

        groups: dict[str, list[Any]] = {"surface": [], "eyes": [], "strands": [], "clear": [], "lenses": []}
        for part in parts:
            thing = upload.mesh_object(bpy, part, material(part.material), collection)
            thing.pass_index = passes.TEAR if part.material == "tear" else 0
            thing["matted"] = bool(np.isin(part.labels, passes.MATTE_LABELS).any())
            thing["covers"] = bool(np.isin(part.labels, COVERING).all())
            groups["clear" if part.material == "tear" else "surface"].append(thing)
        for eye in figure.eyes.values():
            matrix = np.eye(4)
            matrix[:3, :3], matrix[:3, 3] = eye.rotation, eye.centre * upload.METRES
            for part in eye.meshes:
                thing = upload.mesh_object(bpy, part, material(part.material), collection)
                thing.matrix_world = matrix.T.tolist()
                thing.pass_index = passes.REFRACTING.get(part.material, 0)
                if part.material == "pupil":
                    thing["glow"] = labels.pupil_brightness(figure, eye.globe.side)
                groups["eyes"].append(thing)
        for part in figure.glasses.meshes() if figure.glasses else ():
            thing = upload.mesh_object(bpy, part, material(part.material), collection)
            thing.pass_index = passes.REFRACTING.get(part.material, 0)
            groups["lenses"].append(thing)
        for hairs in hair:
            thing = upload.strand_object(bpy, hairs, material(hairs.channel), collection)
            thing["channel"] = hairs.channel
            groups["strands"].append(thing)
        return groups

    def _white_balance(self, figure: Figure) -> Array:
        """Return channel gains (3,) that undo WHITE_BALANCE of the illuminant's colour, as a camera does."""
        if figure.sample.image.spectrum == "nir":
            return np.ones(3, np.float32)
        return (illuminant(figure, self._means) ** -WHITE_BALANCE).astype(np.float32)

    def _settings(self, scene: Any, sample: Sample) -> None:
        render, cycles = scene.render, scene.cycles
        render.engine = "CYCLES"
        cycles.device = "CPU" if self.about.get("device", "CPU") == "CPU" else "GPU"
        cycles.samples = sample.image.samples * (
            1 if self._denoiser or not sample.image.denoise else NO_DENOISER_FACTOR
        )
        cycles.use_adaptive_sampling = True
        cycles.adaptive_threshold = 0.04
        cycles.adaptive_min_samples = 8
        cycles.use_denoising = sample.image.denoise and self._denoiser
        if cycles.use_denoising:
            cycles.denoiser = "OPENIMAGEDENOISE"
            cycles.denoising_input_passes = "RGB_ALBEDO_NORMAL"
        cycles.seed = sample.index % 2**31
        cycles.max_bounces, cycles.diffuse_bounces, cycles.glossy_bounces = 8, 3, 3
        cycles.transmission_bounces, cycles.transparent_max_bounces = 8, 12
        cycles.sample_clamp_indirect = 8.0
        cycles.caustics_reflective = False
        cycles.caustics_refractive = True
        cycles.blur_glossy = 0.1
        render.resolution_x, render.resolution_y = sample.image.width, sample.image.height
        render.resolution_percentage = 100
        render.film_transparent = False
        render.use_persistent_data = False
        render.use_motion_blur = False
        render.threads_mode = "AUTO" if self.threads is None else "FIXED"
        if self.threads:
            render.threads = self.threads
        scene.view_settings.view_transform = "Raw"

    def _label_layers(
        self, scene: Any, groups: dict[str, list[Any]], outputs: tuple[str, ...], draft: Draft
    ) -> tuple[dict[str, Array], Truth]:
        """Return the label layers, and the truth with what they show of visibility, whatever layers are kept."""
        bpy, layers, truth = self.bpy, {}, draft.truth
        lens_index = draft.figure.sample.subject.wear.glasses.index
        ids = passes.label_material(bpy, lens_index)
        solid = groups["surface"] + groups["eyes"]

        def render(name: str, things: list[Any], material: Any = ids, samples: int = 1, surface: bool = False) -> Any:
            made = passes.label_scene(bpy, name, scene, [*things, scene.camera], material, samples, surface)
            return self._render(made, name)

        found = render("labels", solid, surface=True)
        bare = layers["seg"] = passes.class_ids(found, DEFAULT_VIEW_LAYER)
        layers["depth"] = _depth(found)
        layers["normal"] = _normal(found, scene.camera)
        layers["canonical"] = _rgb(found, passes.CANONICAL).astype(np.float32)
        layers["canonical"][np.isin(bare, COVERING)] = 0.0  # the template wears nothing
        if groups["lenses"]:
            layers["seg"] = passes.class_ids(render("worn", solid + groups["lenses"]), DEFAULT_VIEW_LAYER)
        everything = solid + groups["lenses"] + groups["strands"]
        passes.draw_shares(everything)
        made = passes.label_scene(
            bpy,
            "shares",
            scene,
            [*everything, scene.camera],
            passes.share_material(bpy, lens_index),
            passes.SHARE_SAMPLES,
            False,
        )
        for name in (*passes.SHARES, passes.ROOTS):
            made.view_layers[0].lightgroups.add(name=name)
        passes.crop(made, _shares_box(draft))
        found = self._render(made, "shares")

        def share(name: str) -> Array:
            return np.rint(np.clip(_rgb(found, f"Combined_{name}"), 0, 1) * 255).astype(np.uint8)

        layers |= {name: share(name) for name in passes.SHARES}
        roots = share(passes.ROOTS)
        layers["seg"] = labels.with_strands(layers["seg"], layers["coverage"], layers["matte"], roots, truth)
        if np.isin(bare, COVERING).any():
            own = [thing for thing in groups["surface"] if not thing["covers"]]
            layers["seg_amodal"] = passes.class_ids(render("amodal", own + groups["eyes"]), DEFAULT_VIEW_LAYER)
        else:
            layers["seg_amodal"] = bare
        if "seg_anatomical" in outputs:
            layers["seg_anatomical"] = passes.class_ids(render("anatomical", groups["eyes"]), DEFAULT_VIEW_LAYER)
        if "albedo" in outputs:
            made = passes.label_scene(
                bpy, "albedo", scene, [*everything, *groups["clear"], scene.camera], None, passes.ALBEDO_SAMPLES, False
            )
            made.view_layers[0].cycles.denoising_store_passes = True
            layers["albedo"] = _rgb(self._render(made, "albedo"), "Denoising Albedo").astype(np.float32)
        beard = layers["matte"][..., MATTE_CHANNELS.index("beard")]
        truth = labels.with_visibility(truth, bare, layers["depth"], layers["canonical"], layers["coverage"], beard)
        return layers, labels.with_occlusion(truth, layers["seg"], layers["seg_amodal"])

    def _glints(self, scene: Any, groups: dict[str, list[Any]], figure: Figure, truth: Truth) -> tuple[Array, Array]:
        """Return the glint layer (H, W) uint8 and what glints add to the picture (H, W, 3), both round the eyes."""
        bpy, size = self.bpy, (figure.sample.image.height, figure.sample.image.width)
        box = _eyes_box(truth)
        if box is None:
            return np.zeros(size, np.uint8), np.zeros((*size, 3), np.float32)
        solid = [*groups["surface"], *groups["eyes"], *passes.led_objects(bpy, figure.leds), scene.camera]
        lab = passes.label_scene(bpy, "glint", scene, solid, passes.glint_material(bpy), 1, False)
        passes.crop(lab, box)
        ids = passes.class_ids(self._render(lab, "glint"), DEFAULT_VIEW_LAYER)
        wet = passes.shine_material(bpy, led_radiance(figure))
        everything = [*solid, *groups["clear"], *groups["strands"]]
        lit = passes.label_scene(bpy, "shine", scene, everything, wet, passes.SHINE_SAMPLES, False)
        passes.crop(lit, box)
        return ids, _rgb(self._render(lit, "shine")).astype(np.float32)

    def _render(self, scene: Any, name: str) -> dict[str, Array]:
        """Render `scene` through an EXR file in shared memory and return its channels."""
        assert self._folder is not None
        path = Path(self._folder.name) / f"{name}.exr"
        compat.multilayer_exr(scene.render.image_settings)
        scene.render.filepath = str(path)
        scene.render.use_file_extension = False
        scene.view_layers[0].name = DEFAULT_VIEW_LAYER
        with _Quiet():
            self.bpy.ops.render.render(scene=scene.name, write_still=True)
        if not path.exists():
            raise RenderError(f"{name}: Blender wrote no file")
        channels = exr.read(path)
        path.unlink()
        return channels

    def _clear(self) -> None:
        """Remove all that a former frame left, so that memory stays flat over thousands of frames."""
        bpy = self.bpy
        scene = bpy.context.scene
        for other in [s for s in bpy.data.scenes if s != scene]:
            bpy.data.scenes.remove(other)
        for store in (
            bpy.data.objects,
            bpy.data.meshes,
            bpy.data.hair_curves,
            bpy.data.materials,
            bpy.data.lights,
            bpy.data.cameras,
            bpy.data.worlds,
            bpy.data.collections,
        ):
            bpy.data.batch_remove(list(store))
        bpy.data.batch_remove([image for image in bpy.data.images if image.source == "GENERATED"])

    def _choose_device(self) -> str:
        """Switch Cycles to the wanted device and return its name; warn once on fallback."""
        wanted = self.device
        if wanted == "cpu":
            return "CPU"
        preferences = self.bpy.context.preferences.addons["cycles"].preferences
        kinds = ["OPTIX", "CUDA", "HIP", "METAL", "ONEAPI"] if wanted == "auto" else [wanted.upper()]
        for kind in kinds:
            try:
                preferences.compute_device_type = kind
            except TypeError:
                continue
            preferences.get_devices()
            usable = [device for device in preferences.devices if device.type == kind]
            if usable:
                for device in preferences.devices:
                    device.use = device.type == kind
                return kind
        if wanted != "auto":
            warnings.warn(f"no {wanted} device was found; rendering on the CPU", stacklevel=3)
        return "CPU"


TEXTURES = (
    "face_relief",
    "face_tint",
    "skin_relief",
    "lid_relief",
    "lid_tint",
    "iris",
    "iris_height",
    "sclera",
)
"""What the materials look up."""


def textures(figure: Figure) -> dict[str, Array]:
    """Return the pictures (R, C) or (R, C, 3) of TEXTURES."""
    subject, spectrum, expression = figure.sample.subject, figure.sample.image.spectrum, figure.sample.expression
    eye, globe = subject.eye, figure.eyes["left"].globe
    limbus = math.atan2(globe.limbus_r, globe.limbus_z) / math.pi
    face = subject.skin, subject.make_up, drives(expression), spectrum
    painted = (
        complexion(*face)[0],
        complexion_tint(*face),
        relief_tile(subject.skin),
        *periorbita(eye.lids, subject.skin, subject.make_up, squint(expression), spectrum),
        *iris_albedo(eye.iris, spectrum),
        sclera_albedo(eye.sclera, spectrum, limbus, eye.iris.limbal_width_mm, globe.radius),
    )
    return dict(zip(TEXTURES, painted, strict=True))


HIGHLIGHT = 0.62
"""Linear luminance that automatic exposure leaves to the bright side of a face: 80 % of white in sRGB."""


def exposure(linear: Array, sample: Sample, face_box: Array) -> float:
    """Return the gain that brings the picture to its automatic exposure plus `image.exposure_ev`.

    The camera meters log-mean luminance, seven eighths inside the face box [x0, y0, x1, y1] and one eighth over the
    picture, and keeps nine tenths of the box below HIGHLIGHT; darker skin is metered darker, as an incident meter
    would, by the square root of its albedo.
    """
    height, width = linear.shape[:2]
    x0, x1 = np.clip(face_box[[0, 2]], 0, width).astype(int)
    y0, y1 = np.clip(face_box[[1, 3]], 0, height).astype(int)
    inside = linear[y0:y1, x0:x1] if x1 - x0 > 4 and y1 - y0 > 4 else linear
    metered = _log_mean(inside) ** 0.875 * _log_mean(linear) ** 0.125
    albedo = float(mean_albedo(sample.subject.skin, sample.image.spectrum) @ LUMINANCE)
    key = 0.20 * math.sqrt(albedo / 0.35)
    bright = float(np.percentile(inside @ LUMINANCE.astype(np.float32), 90))
    return min(1e4, key / metered, HIGHLIGHT / max(bright, 1e-6)) * 2.0**sample.image.exposure_ev


def _log_mean(linear: Array) -> float:
    """Return the log-mean luminance of what is lit: black surroundings say nothing about the light on a face."""
    luminance = linear @ LUMINANCE.astype(np.float32)
    lit = luminance[luminance > 1e-4 * np.percentile(luminance, 90)]
    return float(np.exp(np.log(np.clip(lit, 1e-4, 20.0)).mean())) if len(lit) else 1e-4


def encode_srgb(linear: Array) -> Array:
    """Return (H, W, 3) uint8 sRGB of scene-linear colour; highlights above 0.8 roll off smoothly toward white."""
    x = np.maximum(linear, 0)
    x = np.where(x > 0.8, 0.8 + 0.2 * (1 - np.exp(-(x - 0.8) / 0.2)), x)
    srgb = np.where(x <= 0.0031308, 12.92 * x, 1.055 * np.power(np.maximum(x, 1e-8), 1 / 2.4) - 0.055)
    return np.rint(srgb * 255).clip(0, 255).astype(np.uint8)


CANTHUS_MM = 3.0
"""How far beyond the lash lines an eye is wet: the caruncle's corner and the lid's edge; reasoned."""


def _eyes_box(truth: Truth) -> Array | None:
    """Return the box (4,) x0, y0, x1, y1 px of all that is wet of the eyes in the picture; None if there is nothing."""
    camera, boxes = truth.camera, []
    for eye in truth.eyes.values():
        lashes = np.concatenate([eye.lash_upper, eye.lash_lower])
        if lashes[:, 2].min() > 0:
            margin = 1 + CANTHUS_MM * camera.K[0, 0] / lashes[:, 2].min()
            seen = camera.project(lashes)
            boxes.append(np.concatenate([seen.min(axis=0) - margin, seen.max(axis=0) + margin]))
    size = np.array([camera.width, camera.height] * 2)
    inside = [box for box in np.clip(boxes, 0, size).round() if (box[2:] > box[:2]).all()]
    return np.concatenate([np.min(inside, axis=0)[:2], np.max(inside, axis=0)[2:]]) if inside else None


def _shares_box(draft: Draft) -> Array:
    """Return the box (4,) x0, y0, x1, y1 px outside which no strand, nothing worn and no skin under hair is seen.

    What a lens shows lies inside its outline. The whole picture where something is not before the camera.
    """
    camera, places = draft.figure.camera, [hairs.points.reshape(-1, 3) for hairs in draft.hair]
    for part in draft.parts:
        under = part.points.get("under_hair", np.zeros((len(part.vertices), 1))).any(axis=1)
        counted = np.isin(part.labels, passes.MATTE_LABELS) | under[part.faces].any(axis=1)
        places.append(part.vertices[part.faces[counted].ravel()])
    places += [part.vertices for part in draft.figure.glasses.meshes()] if draft.figure.glasses else []
    seen = np.concatenate(places) @ camera.rotation.T + camera.translation_mm
    size = np.array([camera.width, camera.height] * 2)
    whole = np.concatenate([[0, 0], size[:2]])
    if seen[:, 2].min() <= STRAND_MARGIN_MM:
        return whole
    margin = 1 + STRAND_MARGIN_MM * camera.K[0, 0] / seen[:, 2].min()
    pixels = camera.project(seen)
    box = np.concatenate([np.floor(pixels.min(axis=0) - margin), np.ceil(pixels.max(axis=0) + margin)]).clip(0, size)
    return box if (box[2:] > box[:2]).all() else whole


STRAND_MARGIN_MM = 1.0
"""How far a strand's side or bend lies outside its points; curves of Catmull and Rom swing out by an eighth of a
segment at most, which are a few mm long where strands bend."""


def _rgb(channels: dict[str, Array], name: str = "Combined") -> Array:
    """Return the pass `name` (H, W, 3), by default the picture."""
    return np.stack([channels[f"{DEFAULT_VIEW_LAYER}.{name}.{c}"] for c in "RGB"], axis=-1)


def _depth(channels: dict[str, Array]) -> Array:
    """Return camera z in mm, 0 where nothing was hit."""
    z = np.asarray(channels[f"{DEFAULT_VIEW_LAYER}.Depth.Z"], np.float32)
    return np.where(z < 1e6, z / upload.METRES, 0).astype(np.float32)


def _normal(channels: dict[str, Array], camera: Any) -> Array:
    """Return unit normals in camera (OpenCV) axes; 0 on the background."""
    world = np.stack([channels[f"{DEFAULT_VIEW_LAYER}.Normal.{c}"] for c in "XYZ"], axis=-1)
    rotation = np.array(camera.matrix_world)[:3, :3]
    local = (world @ rotation) * np.array([1.0, -1.0, -1.0])
    length = np.linalg.norm(local, axis=-1, keepdims=True)
    return np.where(length > 0.5, local / np.maximum(length, 1e-6), 0).astype(np.float32)


class _Clock:
    """Stage timings, after those of `seconds`."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self.seconds = seconds
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name], self._last = now - self._last, now


class _Quiet:
    """Keep Blender's per-render chatter out of stdout, which belongs to progress events."""

    def __enter__(self) -> None:
        import os

        sys.stdout.flush()
        self._saved = os.dup(1)
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, 1)
        os.close(sink)

    def __exit__(self, *exc: object) -> None:
        import os

        os.dup2(self._saved, 1)
        os.close(self._saved)
