"""Labelled frames per CPU second beside BlenderProc and plain bpy, on one simple scene.

    python benchmarks/peer.py [--frames 8] [--blenderproc PYTHON]

The scene: five spheres, an environment map of 1024 x 512, an area lamp, 256 x 256. A labelled frame is the picture,
class ids, depth and normals on disk; every frame has a new scene. BlenderProc and plain bpy take 32 samples, Intel's
denoiser and their passes in the picture's own render; ours takes what Facewright takes (settings, importance map, label
scene, files, hashes) at the sample counts of OURS. The error is the RMSE over sRGB values against REFERENCE samples of
the same scene, so that rows of equal error can be compared.

PYTHON is one in which `pip install bpy==4.5.15 blenderproc` and BlenderProc's own list of packages were run; without
it that row is left out. Each row runs in a process of its own with one thread; its CPU seconds are those of the process
after the first frame. Writes benchmarks/results/peer.{json,md}.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
SIZE, SPHERES, SAMPLES, REFERENCE = 256, 5, 32, 1024
OURS = (12, 16, 24, 32)
FIELD = 0.9
"""Horizontal angle of view, rad."""


def scene(index: int) -> dict[str, Any]:
    """Return what all of them build: places (5, 3), radii (5,), colours (5, 3)."""
    rng = np.random.default_rng(index)
    return {
        "places": (rng.uniform([-1.4, -0.6, -1.0], [1.4, 1.0, 1.0], (SPHERES, 3))).tolist(),
        "radii": rng.uniform(0.3, 0.55, SPHERES).tolist(),
        "colours": rng.uniform(0.1, 0.8, (SPHERES, 3)).tolist(),
    }


def sky(path: str) -> None:
    """Write the environment map: a soft sky with a bright window."""
    import bpy

    image = bpy.data.images.new("sky", 1024, 512, float_buffer=True)
    pixels = np.ones((512, 1024, 4), np.float32)
    pixels[..., :3] = np.linspace(0.15, 0.9, 512)[:, None, None] * np.array([0.9, 1.0, 1.15])
    pixels[300:380, 200:300, :3] = 12.0
    image.pixels.foreach_set(pixels.ravel())
    image.file_format = "HDR"
    image.filepath_raw = path
    image.save()
    bpy.data.images.remove(image)


def plain_scene(bpy: Any, spec: dict[str, Any], hdr: str) -> Any:
    """Return a new scene with the spheres, lamp, world and camera, as a careful user of bpy writes it."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    made = bpy.context.scene
    for k in range(SPHERES):
        bpy.ops.mesh.primitive_uv_sphere_add(
            radius=spec["radii"][k], location=spec["places"][k], segments=48, ring_count=24
        )
        thing = bpy.context.object
        thing.data.shade_smooth()
        thing.pass_index = k + 1
        thing.data.materials.append(paint(bpy, spec["colours"][k]))
    surround(bpy, made, hdr)
    made.render.engine = "CYCLES"
    made.render.resolution_x = made.render.resolution_y = SIZE
    made.render.threads_mode, made.render.threads = "FIXED", 1
    made.view_settings.view_transform = "Standard"
    return made


def paint(bpy: Any, colour: list[float]) -> Any:
    """Return a sphere's material."""
    material = bpy.data.materials.new("paint")
    material.use_nodes = True
    node = material.node_tree.nodes["Principled BSDF"]
    node.inputs["Base Color"].default_value = (*colour, 1.0)
    node.inputs["Roughness"].default_value = 0.4
    return material


def surround(bpy: Any, made: Any, hdr: str) -> None:
    """Give scene `made` its lamp, camera and environment."""
    light = bpy.data.lights.new("area", "AREA")
    light.energy, light.size = 120.0, 1.0
    lamp = bpy.data.objects.new("area", light)
    lamp.location, lamp.rotation_euler = (1.5, -3.0, 3.0), (0.75, 0.0, 0.45)
    made.collection.objects.link(lamp)
    data = bpy.data.cameras.new("camera")
    data.angle = FIELD
    made.camera = bpy.data.objects.new("camera", data)
    made.camera.location, made.camera.rotation_euler = (0.0, -4.5, 0.0), (np.pi / 2, 0.0, 0.0)
    made.collection.objects.link(made.camera)
    made.world = bpy.data.worlds.new("world")
    made.world.use_nodes = True
    texture = made.world.node_tree.nodes.new("ShaderNodeTexEnvironment")
    texture.image = bpy.data.images.load(hdr, check_existing=True)
    background = made.world.node_tree.nodes["Background"]
    made.world.node_tree.links.new(texture.outputs[0], background.inputs["Color"])


class Renderings:
    """What each role renders: a function of the frame's index that leaves its files and returns the sRGB picture."""

    def __init__(self, role: str, folder: Path, samples: int) -> None:
        self.role, self.folder, self.samples = role, folder, samples
        self.hdr = str(folder / "sky.hdr")
        if role == "blenderproc":
            self.bproc = open_blenderproc(folder)
        sky(self.hdr)
        if role == "ours":
            sys.path[:0] = [str(ROOT / "generators")]
            from facewright.scene import CyclesRenderer

            self.renderer = CyclesRenderer(device="cpu", threads=1).__enter__()

    def __call__(self, index: int) -> np.ndarray:
        return getattr(self, self.role)(index)

    def plain(self, index: int) -> np.ndarray:
        """Render with passes to one multilayer EXR and a PNG."""
        import bpy

        made = plain_scene(bpy, scene(index), self.hdr)
        made.cycles.samples, made.cycles.use_denoising = self.samples, True
        made.cycles.denoiser = "OPENIMAGEDENOISE"
        layer = made.view_layers[0]
        layer.use_pass_z = layer.use_pass_normal = layer.use_pass_object_index = True
        made.render.image_settings.file_format = "OPEN_EXR_MULTILAYER"
        made.render.filepath = str(self.folder / f"plain{index}.exr")
        bpy.ops.render.render(write_still=True)
        made.render.image_settings.file_format = "PNG"
        bpy.data.images["Render Result"].save_render(str(self.folder / f"plain{index}.png"), scene=made)
        return read_png(self.folder / f"plain{index}.png")

    def reference(self, index: int) -> np.ndarray:
        """Render what all of them approach."""
        import bpy

        made = plain_scene(bpy, scene(index), self.hdr)
        made.cycles.samples, made.cycles.use_denoising, made.cycles.use_adaptive_sampling = REFERENCE, False, False
        made.cycles.sample_clamp_indirect = 0.0
        made.render.image_settings.file_format = "PNG"
        made.render.filepath = str(self.folder / f"reference{index}.png")
        bpy.ops.render.render(write_still=True)
        return read_png(self.folder / f"reference{index}.png")

    def ours(self, index: int) -> np.ndarray:
        """Render as scene/session.py does: its settings, its label scene, its files."""
        from facewright import Recipe, sample
        from facewright.dataset.layout import encode_layer, layer_file, write_atomic
        from facewright.geometry.mesh import Mesh
        from facewright.scene import passes, session, upload

        renderer, spec = self.renderer, scene(index)
        bpy = renderer.bpy
        renderer._clear()
        made = bpy.context.scene
        things = []
        ball, faces = uv_sphere(48, 24)
        for k in range(SPHERES):
            material = paint(bpy, spec["colours"][k])
            place = 1000 * (ball * spec["radii"][k] + np.array(spec["places"][k]))
            part = Mesh(f"ball{k}", place, faces, np.full(len(faces), k + 1, np.uint8), "ball", {"rest": place})
            things.append(upload.mesh_object(bpy, part, material, made.collection))
        surround(bpy, made, self.hdr)
        made.world.cycles.sampling_method, made.world.cycles.sample_map_resolution = "MANUAL", 256  # as scene/world.py
        edges = [f"image.width={SIZE}", f"image.height={SIZE}", f"image.samples={self.samples}"]
        renderer._settings(made, sample(Recipe.load("face", edges), 0, index))
        linear = session._rgb(renderer._render(made, "beauty"))
        made_labels = passes.label_scene(
            bpy, "labels", made, [*things, made.camera], passes.label_material(bpy, 1.5), 1, True
        )
        found = renderer._render(made_labels, "labels")
        layers = {
            "rgb": np.rint(255 * srgb(linear)).astype(np.uint8),
            "seg": passes.class_ids(found, session.DEFAULT_VIEW_LAYER),
            "depth": session._depth(found),
            "normal": session._normal(found, made.camera),
        }
        for name, values in layers.items():
            write_atomic(self.folder / layer_file(index, name), encode_layer(name, values))
        return layers["rgb"] / 255.0

    def blenderproc(self, index: int) -> np.ndarray:
        """Render as BlenderProc's manual has it, with a new scene for each frame."""
        bproc, spec = self.bproc, scene(index)
        bproc.clean_up(clean_up_camera=True)
        sys.modules["bpy"].context.scene.world.use_nodes = True
        for k in range(SPHERES):
            ball = bproc.object.create_primitive("SPHERE", radius=spec["radii"][k], segments=48, ring_count=24)
            ball.set_location(spec["places"][k])
            ball.set_shading_mode("smooth")
            ball.set_cp("category_id", k + 1)
            material = bproc.material.create(f"m{k}")
            material.set_principled_shader_value("Base Color", [*spec["colours"][k], 1.0])
            material.set_principled_shader_value("Roughness", 0.4)
            ball.replace_materials(material)
        light = bproc.types.Light()
        light.set_type("AREA")
        light.set_energy(120.0)
        light.blender_obj.data.size = 1.0
        light.set_location([1.5, -3.0, 3.0])
        light.set_rotation_euler([0.75, 0.0, 0.45])
        bproc.world.set_world_background_hdr_img(self.hdr)
        bproc.camera.set_resolution(SIZE, SIZE)
        bproc.camera.set_intrinsics_from_blender_params(lens=FIELD, lens_unit="FOV")
        bproc.camera.add_camera_pose(bproc.math.build_transformation_mat([0.0, -4.5, 0.0], [np.pi / 2, 0.0, 0.0]))
        bproc.renderer.set_max_amount_of_samples(self.samples)
        bproc.renderer.set_denoiser("INTEL")
        bproc.renderer.set_output_format(view_transform="Standard")
        if index == 0:
            bproc.renderer.enable_depth_output(activate_antialiasing=False)
            bproc.renderer.enable_normals_output()
            bproc.renderer.enable_segmentation_output(
                map_by=["category_id", "instance"], default_values={"category_id": 0}
            )
        data = bproc.renderer.render()
        bproc.writer.write_hdf5(str(self.folder), data, append_to_existing_output=True)
        return np.asarray(data["colors"][0])[..., :3] / 255.0


def open_blenderproc(folder: Path) -> Any:
    """Return BlenderProc on pip's bpy: its set-up wants Blender's own folder to install into, which is left out."""
    import importlib
    import importlib.util
    import types

    os.environ["INSIDE_OF_THE_INTERNAL_BLENDER_PYTHON_ENVIRONMENT"] = "1"
    spec = importlib.util.find_spec("blenderproc")
    assert spec
    assert spec.submodule_search_locations
    home = list(spec.submodule_search_locations)
    sys.modules["blenderproc"] = types.ModuleType("blenderproc")
    sys.modules["blenderproc"].__path__ = home  # type: ignore[attr-defined]
    setup = importlib.import_module("blenderproc.python.utility.SetupUtility")
    packages = str(Path(home[0]).parent)
    setup.SetupUtility.setup_pip = staticmethod(lambda *_, **__: packages)
    del sys.modules["blenderproc"]
    sys.path.append(packages)
    sys.argv = ["peer", "--background", "--", "peer", str(folder / "bproc")]
    bproc = importlib.import_module("blenderproc")
    inner = importlib.import_module("blenderproc.python.utility.Initializer")
    bproc.clean_up(clean_up_camera=True)  # what bproc.init() does, but for the language, which pip's bpy does not have
    sys.modules["bpy"].context.scene.world.use_nodes = True
    sys.modules["bpy"].context.scene.render.engine = "CYCLES"
    bproc.renderer.set_render_devices()
    inner._Initializer.set_default_parameters()
    bproc.renderer.set_cpu_threads(1)
    return bproc


def uv_sphere(around: int, along: int) -> tuple[np.ndarray, np.ndarray]:
    """Return vertices (V, 3) of a unit sphere and its quads (F, 4), triangles at the poles."""
    polar = np.linspace(0, np.pi, along + 1)[1:-1]
    turn = np.arange(around) * 2 * np.pi / around
    rings = np.stack(
        [
            np.outer(np.sin(polar), np.cos(turn)),
            np.outer(np.sin(polar), np.sin(turn)),
            np.outer(np.cos(polar), turn * 0 + 1),
        ],
        axis=-1,
    )
    vertices = np.concatenate([rings.reshape(-1, 3), [[0, 0, 1], [0, 0, -1]]])
    row, column = np.divmod(np.arange((along - 2) * around), around)
    after = (column + 1) % around
    quads = np.stack(
        [row * around + column, (row + 1) * around + column, (row + 1) * around + after, row * around + after], 1
    )
    k = np.arange(around)
    top = np.stack([k, (k + 1) % around, np.full(around, len(vertices) - 2)], 1)
    last = (along - 2) * around
    bottom = np.stack([last + (k + 1) % around, last + k, np.full(around, len(vertices) - 1)], 1)
    caps = np.concatenate([top, bottom])
    return vertices, np.concatenate([quads, np.concatenate([caps, caps[:, 2:]], axis=1)])


def srgb(linear: np.ndarray) -> np.ndarray:
    """Return sRGB values in [0, 1], as Blender's Standard view has them."""
    x = np.clip(linear, 0, 1)
    return np.where(x <= 0.0031308, 12.92 * x, 1.055 * np.power(np.maximum(x, 1e-8), 1 / 2.4) - 0.055)


def read_png(path: Path) -> np.ndarray:
    """Return the picture (H, W, 3) in [0, 1]."""
    import imageio.v3 as iio

    return iio.imread(path)[..., :3] / 255.0


def role(name: str, folder: Path, samples: int, frames: int, first: int) -> None:
    """Render frames of role `name`, save the pictures and print the CPU seconds a frame after the first."""
    start = time.perf_counter()
    render = Renderings(name, folder, samples)
    pictures = [render(first)]
    began, clock = time.perf_counter() - start, time.process_time()
    pictures += [render(first + k) for k in range(1, frames + 1)]
    seconds = (time.process_time() - clock) / frames
    np.savez_compressed(folder / f"{name}{samples}.npz", np.stack(pictures[1:]).astype(np.float32))
    print("ROLE " + json.dumps({"cpu_s": seconds, "first_frame_s": began}), flush=True)


def spawn(python: str, name: str, folder: Path, samples: int, frames: int) -> dict[str, float]:
    """Run a role in its own process."""
    command = [python, __file__, "--role", name, "--folder", str(folder), "--samples", str(samples)]
    made = subprocess.run([*command, "--frames", str(frames)], capture_output=True, text=True, check=False)
    lines = [line for line in made.stdout.splitlines() if line.startswith("ROLE ")]
    if not lines:
        raise SystemExit(f"{name} failed:\n{made.stdout[-2000:]}\n{made.stderr[-3000:]}")
    return json.loads(lines[-1][5:])


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--blenderproc", metavar="PYTHON")
    parser.add_argument("--role")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--samples", type=int, default=SAMPLES)
    options = parser.parse_args()
    if options.role:
        role(options.role, options.folder, options.samples, options.frames, 0)
        return
    rows = []
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as name:
        folder = Path(name)
        spawn(sys.executable, "reference", folder, REFERENCE, options.frames)
        truth = np.load(folder / f"reference{REFERENCE}.npz")["arr_0"]
        jobs = [("plain", SAMPLES, sys.executable), *(("ours", count, sys.executable) for count in OURS)]
        if options.blenderproc:
            jobs.insert(0, ("blenderproc", SAMPLES, options.blenderproc))
        for who, samples, python in jobs:
            row = {"who": who, "samples": samples, **spawn(python, who, folder, samples, options.frames)}
            found = np.load(folder / f"{who}{samples}.npz")["arr_0"]
            row["rmse"] = float(np.sqrt(np.square(found - truth).mean()))
            rows.append(row)
            print(row, flush=True)
    lines = [
        "# Labelled frames per CPU second beside BlenderProc",
        "",
        f"{SPHERES} spheres, environment map, area lamp, {SIZE} x {SIZE}, picture, ids, depth, normals on disk; a new",
        f"scene for each of {options.frames} frames after the first; one thread, bpy 4.5,",
        f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}.",
        f"RMSE of sRGB values against {REFERENCE} samples.",
        "",
        "| who | samples | CPU s a frame | RMSE | start to first frame, wall s |",
        "|---|---|---|---|---|",
        *(
            f"| {row['who']} | {row['samples']} | {row['cpu_s']:.2f} | {row['rmse']:.4f} | {row['first_frame_s']:.1f} |"
            for row in rows
        ),
        "",
    ]
    print("\n".join(lines))
    out = ROOT / "benchmarks/results"
    (out / "peer.json").write_text(json.dumps({"rows": rows}, indent=1) + "\n")
    (out / "peer.md").write_text("\n".join(lines))


if __name__ == "__main__":
    main()
