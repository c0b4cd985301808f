"""Jobs run in another Blender, outlive this one, and render what the panel shows."""

import importlib.util
import os
import time

import bpy
import numpy as np
import pytest

import facewright.dataset
from facewright import Recipe, sample
from facewright.errors import UserError

from .conftest import TINY

PATIENCE_S = 60


def wait_for(condition):
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def test_this_frame_and_generate_render_the_labels_of_the_panel_into_one_dataset(addon, settings, output, cycles):
    settings.preset = "eye_rgb"
    settings.hold(TINY | {"gaze.yaw_deg": 9.5, "subject.wear.glasses.kind": "none"})
    settings.outputs, settings.index = {"seg"}, 5
    assert bpy.ops.facewright.render() == {"FINISHED"}
    settings.start, settings.count = 5, 1
    assert bpy.ops.facewright.generate() == {"FINISHED"}
    job, frame_job = addon.jobs.found(output)
    assert (job.state, job.done, job.made, job.failures) == ("finished", 1, 0, {})
    assert (frame_job.state, frame_job.made, frame_job.folder) == ("finished", 1, job.folder)
    frame = facewright.dataset.open(job.folder).frame(5)
    assert frame.sample == settings.sample() == sample(Recipe.load(job.place / "recipe.json"), 0, 5)
    again = cycles(frame.sample, ("seg",))
    assert np.array_equal(frame.layers["seg"], again.layers["seg"])
    assert again.truth.gaze == pytest.approx(frame.truth.gaze, abs=1e-9)


def painted(addon, settings, output, count):
    """Return a job of `count` painted frames, not yet started."""
    settings.hold(TINY)
    options = ["--workers", "1", "--renderer", "mock", "--refine", "none"]
    return addon.jobs.order(output, settings.recipe(), 0, 0, count, options)


def test_refined_beside_raw(addon, settings, output):
    if not importlib.util.find_spec("torch"):
        python = os.environ.get("FACEWRIGHT_TORCH_PYTHON") or pytest.skip("refining needs torch")
        addon.preferences.of(bpy.context).refiner_python = python
    settings.refiner = "webcam"
    with pytest.raises(RuntimeError, match="frame 0 is not rendered yet"):
        bpy.ops.facewright.refine()
    job = painted(addon, settings, output, 1)
    job.start()
    job.process.wait()
    assert bpy.ops.facewright.refine() == {"FINISHED"}
    addon.refine.close()
    pixels = np.array(bpy.data.images["raw | refined 000000"].pixels).reshape(48, 96, 4)[::-1, :, :3]
    assert np.rint(pixels[:, :48] * 255) == pytest.approx(facewright.dataset.open(job.folder)[0].layers["rgb"])
    assert 0.01 < np.abs(pixels[:, :48] - pixels[:, 48:]).mean() < 0.3


def test_an_onnx_refiner_runs_in_blender_itself(addon, settings, output, tmp_path, monkeypatch):
    torch = pytest.importorskip("torch", reason="making an ONNX file needs torch")
    from facewright_refiner.checkpoint import build_refiner, save_checkpoint
    from facewright_refiner.portability import export_refiner
    from facewright_refiner.presets import Config

    config = Config.of("modern", ["width=48", "height=48", "blocks=2", "features=4", "patch=8"])
    torch.manual_seed(0)
    network = build_refiner(config)
    for parameter in network.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    save_checkpoint(tmp_path / "r.safetensors", network, {"config": config.to_data(), "camera": None})
    export_refiner(tmp_path / "r.safetensors", tmp_path / "r.onnx")
    settings.refiner, settings.refiner_file = "FILE", str(tmp_path / "r.onnx")
    job = painted(addon, settings, output, 1)
    job.start()
    job.process.wait()
    known = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in ("torch", "kornia") else known(name))
    assert addon.refine.in_process(settings.refiner_spec())
    assert not addon.refine.in_process("webcam")
    assert bpy.ops.facewright.refine() == {"FINISHED"}
    addon.refine.close()
    pixels = np.array(bpy.data.images["raw | refined 000000"].pixels).reshape(48, 96, 4)[::-1, :, :3]
    assert 0.002 < np.abs(pixels[:, :48] - pixels[:, 48:]).mean() < 0.5


@pytest.fixture
def endless(addon, settings, output):
    """A started job that no test waits for, of painted frames."""
    job = painted(addon, settings, output, 100_000)
    job.start()
    yield job
    job.process.kill()
    job.process.wait()


def test_stopped_jobs_resume(addon, settings, output, endless):
    wait_for(lambda: endless.poll() and endless.made > 2)
    assert endless.state == "running"
    with pytest.raises(UserError, match="is being written; stop that job first"):
        painted(addon, settings, output, 1)
    assert endless.argument("--count") == "100000"
    assert endless.pace > 0
    assert "left" in endless.words()
    endless.stop()
    wait_for(lambda: not endless.running)
    endless.poll()
    assert endless.state == "stopped"
    done = endless.done
    endless.start()
    wait_for(lambda: endless.poll() and endless.made > 0)
    assert endless.done > done
    endless.stop()
    wait_for(lambda: not endless.running)


def test_a_new_blender_finds_the_job_of_one_that_crashed(addon, endless, output):
    wait_for(lambda: endless.poll() and endless.made > 0)
    addon.jobs.forget()  # as a crash does
    found = addon.jobs.found(output)[0]
    assert found is not endless
    assert found.state == "running"
    assert found.done > 0
    found.stop()
    wait_for(lambda: endless.process.poll() is not None)
    assert found.state == "stopped"


def test_what_went_wrong_is_said(addon, settings, output):
    settings.hold(TINY)
    options = ["--workers", "1", "--renderer", "mock", "--refine", "webcm"]
    job = addon.jobs.order(output, settings.recipe(), 0, 0, 1, options)
    job.start()
    job.process.wait()
    job.poll()
    assert job.state == "stopped"
    assert "webcm" in job.complaint()
