"""A trained refiner as a file: the same numbers in onnxruntime, in a Python that has no torch."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import facewright
from facewright import cli
from facewright.errors import AssetError, MissingPackage, UserError
from facewright_refiner import apply, guides
from facewright_refiner.checkpoint import build_refiner, load_checkpoint, save_checkpoint
from facewright_refiner.learned import refine_image
from facewright_refiner.portability import TOLERANCE, export_refiner
from facewright_refiner.portable import load_alone, load_portable
from facewright_refiner.presets import Config
from facewright_refiner.profile import Profile

pytest.importorskip("onnxruntime", reason="running ONNX files needs onnxruntime")
SIZE = ["width=32", "height=24", "blocks=2", "features=4", "patch=8"]

ALONE = """
import sys, json
for name in ("torch", "kornia", "PIL", "safetensors"):
    sys.modules[name] = None
import numpy as np
from facewright.refining import open_refiner
from facewright_refiner.learned import refine_image
from facewright_refiner.portable import load_alone
data = np.load(sys.argv[2])
with open_refiner(sys.argv[1]) as refiner:
    network = refiner._refiner.network
    np.save(sys.argv[3], refine_image(network, data["image"], 1.0, data["guide"], (1, 2)))
print(json.dumps(refiner.about))
"""


def checkpoint(folder, preset="modern", camera=None):
    config = Config.of(preset, SIZE)
    torch.manual_seed(0)
    refiner = build_refiner(config)
    for parameter in refiner.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    path = folder / f"{preset}.safetensors"
    save_checkpoint(path, refiner, {"config": config.to_data(), "camera": camera})
    return path


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A checkpoint of random weights, and its ONNX file made by the command."""
    pytest.importorskip("onnxscript", reason="exporting needs onnx and onnxscript")
    path = checkpoint(tmp_path_factory.mktemp("portable"))
    assert cli.main(["export-refiner", str(path)]) == 0
    return path, path.with_suffix(".onnx")


def scene(height=37, width=50):
    random = np.random.default_rng(0)
    guide = random.random((guides.CHANNELS, height, width), np.float32)
    return random.integers(0, 256, (height, width, 3), np.uint8), guide


def test_both_files_give_the_same_picture(pair):
    here, there = load_checkpoint(pair[0]), load_portable(pair[1])
    assert here.scope == there.scope
    random = np.random.default_rng(1)
    shapes = [(2, count, 28, 44) for count in (3, guides.CHANNELS, here.scope.noise)]
    inputs = [random.uniform(-1, 1, shape).astype(np.float32) for shape in shapes]
    assert np.abs(here(*inputs) - there(*inputs)).max() < TOLERANCE
    assert np.abs(here(*inputs) - inputs[0]).max() > 0.05, "which is not the identity"
    image, guide = scene()
    pictures = [refine_image(network, image, 1.0, guide, (1, 2)).astype(int) for network in (here, there)]
    assert np.abs(pictures[0] - pictures[1]).max() <= 1


def test_where_there_is_no_torch_the_file_works_alone(pair, tmp_path):
    image, guide = scene()
    np.savez(tmp_path / "in.npz", image=image, guide=guide)
    answer = subprocess.run(
        [sys.executable, "-c", ALONE, str(pair[1]), str(tmp_path / "in.npz"), str(tmp_path / "out.npy")],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": ":".join(str(Path(module.__file__).parents[1]) for module in (facewright, apply))},
    )
    assert answer.returncode == 0, answer.stderr
    about = json.loads(answer.stdout)
    assert about["preset"] == "modern"
    assert about["weights"] == load_portable(pair[1]).digest
    wanted = refine_image(load_checkpoint(pair[0]), image, 1.0, guide, (1, 2))
    assert np.abs(np.load(tmp_path / "out.npy").astype(int) - wanted).max() <= 1


def test_with_torch_it_is_a_refiner_like_others(pair, make_frame):
    frame = make_frame(0, 64, 48)
    frame.layers["depth"] = np.ones((48, 64), np.float32)
    frame.layers["normal"] = np.zeros((48, 64, 3), np.float32)
    for spec, kind in ((f"{pair[1]}", "learned"), (f"{pair[1]}+webcam", "learned+sensor")):
        (refined,) = apply.load_refiner(spec).refine([frame])
        assert refined.about["refiner"]["kind"] == kind
        assert refined.refined.shape == frame.rgb.shape


def test_a_camera_needs_torch_and_says_so(pair, tmp_path):
    with pytest.raises(MissingPackage, match=r"its camera needs torch .*onnx\+none"):
        load_alone(f"{pair[1]}+webcam")
    assert load_alone(f"{pair[1]}+none").name == "modern"
    own = tmp_path / "own.onnx"
    own.write_bytes(_with_camera(pair[1]))
    with pytest.raises(MissingPackage, match="its camera needs torch"):
        load_alone(str(own))
    assert isinstance(apply.load_refiner(own), apply.ChainedRefiner)


def _with_camera(path):
    import onnx

    model = onnx.load(path)
    card = json.loads(model.metadata_props[0].value) | {"camera": Profile.load("webcam").to_data()}
    onnx.helper.set_model_props(model, {"facewright": json.dumps(card)})
    return model.SerializeToString()


def test_a_program_of_torch_export_gives_the_same_picture(tmp_path):
    path = checkpoint(tmp_path, "simgan-colour")
    export_refiner(path, tmp_path / "simgan.pt2")
    program = torch.export.load(tmp_path / "simgan.pt2").module()
    picture = torch.rand(1, 3, 30, 41) * 2 - 1
    assert torch.equal(program(picture), load_checkpoint(path).refiner(picture))


def test_what_is_not_a_refiner_is_refused_in_one_sentence(pair, tmp_path):
    (tmp_path / "text.onnx").write_text("hello")
    for name, match in (("text.onnx", "is not a refiner of"), ("none.onnx", "cannot be read")):
        with pytest.raises(AssetError, match=match):
            load_portable(tmp_path / name)
    with pytest.raises(UserError, match=r"is exported as \.onnx or \.pt2"):
        export_refiner(pair[0], tmp_path / "x.trt")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "onnxruntime", None)
        with pytest.raises(MissingPackage, match="pip install onnxruntime"):
            load_portable(pair[1])
