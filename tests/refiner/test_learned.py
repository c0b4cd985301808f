"""A checkpoint is accepted wherever a sensor profile is, with the same drift check; alone, or before a sensor."""

import sys

import numpy as np
import pytest
import torch

import facewright.dataset
from facewright import Recipe, cli, commands, refining
from facewright.errors import AssetError
from facewright.farm.generate import Order, generate
from facewright.farm.worker import Station, open_maker
from facewright_refiner import apply
from facewright_refiner.checkpoint import Checkpoint, save_checkpoint
from facewright_refiner.drift import luma
from facewright_refiner.learned import grid_scale, refine_image
from facewright_refiner.networks import refiner_of
from facewright_refiner.presets import Config

GAIN, OFFSET = 0.4, 0.3
"""What the toy refiners do: tanh(GAIN * x + OFFSET), for x in [-1, 1]."""


def checkpoint(path, preset="simgan", shift=0, changes=()):
    """Save a refiner of known effect: a tone curve, and everything moved to the right by `shift` px of its grid."""
    config = Config.of(preset, ["blocks=1", "features=8", *changes])
    refiner = refiner_of(config.family, config.channels, 1, features=8)
    for parameter in refiner.parameters():
        parameter.data.zero_()
    with torch.no_grad():
        middle = refiner.stem.kernel_size[0] // 2
        for channel in range(config.channels):
            for sign, feature in ((1, 2 * channel), (-1, 2 * channel + 1)):  # the two halves of x, through ReLUs
                refiner.stem.weight[feature, channel, middle, middle - shift] = sign
                refiner.head.weight[channel, feature] = GAIN * sign
        refiner.head.bias.fill_(OFFSET)
    save_checkpoint(path, refiner, {"config": config.to_data(), "step": 1})
    return path


@pytest.fixture
def frame(make_frame):
    return make_frame(0, 55, 35)


def outcome(frame):
    return frame.about["refiner"]["outcome"]


def test_at_its_own_resolution_a_refiner_is_the_network(frame, tmp_path):
    (refined,) = apply.load_refiner(checkpoint(tmp_path / "tone.safetensors")).refine([frame])
    wanted = (np.tanh(GAIN * (2 * luma(frame.rgb) - 1) + OFFSET) + 1) / 2 * 255
    assert outcome(refined) == "refined"
    assert refined.refined.shape == frame.rgb.shape
    assert refined.layers["rgb"] is frame.layers["rgb"]
    assert np.abs(refined.refined - wanted[..., None]).max() <= 1
    assert {"name", "kind", "weights", "drift_px", "preset"} <= set(refined.about["refiner"])
    assert refined.about["refiner"]["name"] == "tone"
    assert apply.refine_checks(refined)


def test_a_colour_refiner_keeps_colours_apart(frame, tmp_path):
    path = checkpoint(tmp_path / "c.safetensors", "simgan-colour")
    (refined,) = apply.load_refiner(path).refine([frame])
    wanted = (np.tanh(GAIN * (frame.rgb / 127.5 - 1) + OFFSET) + 1) / 2 * 255
    assert np.abs(refined.refined - wanted).max() <= 1


def test_a_larger_frame_is_changed_at_the_networks_resolution_and_keeps_its_detail(make_frame, tmp_path):
    big = make_frame(0, 220, 140)
    (refined,) = apply.load_refiner(checkpoint(tmp_path / "c.safetensors", "simgan-colour")).refine([big])
    assert outcome(refined) == "refined"
    change = refined.refined.astype(float) - big.rgb
    wanted = (np.tanh(GAIN * (big.rgb / 127.5 - 1) + OFFSET) + 1) * 127.5 - big.rgb
    assert np.corrcoef(change.ravel(), wanted.ravel())[0, 1] > 0.9
    detail = [np.abs(np.diff(change, 2, axis=1)).mean(), np.abs(np.diff(wanted, 2, axis=1)).mean()]
    assert detail[0] < 0.5 * detail[1], "the change itself is smooth"


@pytest.mark.parametrize(
    ("crop", "height", "width", "scale"),
    [(1.0, 35, 55, 1), (1.0, 400, 640, 55 / (400 * 55 / 35)), (0.5, 70, 110, 1), (1.0, 400, 500, 0.11)],
)
def test_a_frame_gets_as_many_px_as_in_training(crop, height, width, scale):
    assert grid_scale(Config.of("simgan", [f"crop={crop}"]), height, width) == pytest.approx(scale)


def test_a_batch_of_any_sizes_is_refined_like_its_frames_alone(make_frame, tmp_path, monkeypatch):
    frames = [make_frame(0, 55, 35), make_frame(1, 64, 80), make_frame(2, 55, 35), make_frame(3, 64, 80)]
    refiner = apply.load_refiner(checkpoint(tmp_path / "b.safetensors", "simgan-colour"))
    alone = [refiner.refine([frame])[0] for frame in frames]
    batches, call = [], Checkpoint.__call__
    monkeypatch.setattr(Checkpoint, "__call__", lambda self, x, *rest: batches.append(len(x)) or call(self, x, *rest))
    together = refiner.refine(frames)
    assert batches[:2] == [2, 2]
    for one, other, frame in zip(alone, together, frames, strict=True):
        assert other.sample == frame.sample
        assert outcome(one) == outcome(other)
        assert np.abs(one.refined.astype(int) - other.refined.astype(int)).max() <= 1  # rounding, from a convolution


def test_a_refiner_that_moves_the_eye_is_rejected(frame, tmp_path):
    (refined,) = apply.load_refiner(checkpoint(tmp_path / "m.safetensors", shift=1)).refine([frame])
    assert outcome(refined) in ("milder", "plain")
    assert all(check.ok for check in apply.refine_checks(refined))
    moved = refine_image(apply.load_checkpoint(tmp_path / "m.safetensors"), frame.rgb)
    judged = apply.finished(frame, moved, {}, apply.DRIFT_LIMIT, 1.0, 0.0)
    assert not all(check.ok for check in apply.refine_checks(judged)), "which is why"


def test_a_rejected_refiner_leaves_the_render(frame, tmp_path):
    path = checkpoint(tmp_path / "c.safetensors", "simgan-colour")
    refiner = apply.LearnedRefiner(apply.load_checkpoint(path), "c", limit=-1.0)
    (refined,) = refiner.refine([frame])
    assert outcome(refined) == "plain"
    assert np.array_equal(refined.refined, frame.rgb)


def test_a_sensor_photographs_what_the_network_made(make_frame, tmp_path):
    frame = make_frame(1, 96, 72)
    path = checkpoint(tmp_path / "tone.safetensors", "simgan-colour")
    (refined,) = apply.load_refiner(f"{path}+webcam").refine([frame])
    account = refined.about["refiner"]
    assert account["name"] == "tone+webcam"
    assert account["learned"]["outcome"] == "refined"
    assert account["params"]["index"] == 1
    learned, camera = apply.load_refiner(path), apply.load_refiner("webcam")
    (first,) = learned.refine([frame])
    assert np.array_equal(refined.refined, camera.photograph(frame, apply.srgb_to_linear(first.refined)).refined)
    assert not np.array_equal(refined.refined, camera.refine([frame])[0].refined)


def test_where_the_network_is_rejected_the_sensor_photographs_the_render(make_frame, tmp_path):
    frame = make_frame(1, 96, 72)
    chain = apply.load_refiner(f"{checkpoint(tmp_path / 'm.safetensors', 'simgan-colour')}+webcam")
    chain.learned.limit = -1.0
    (refined,) = chain.refine([frame])
    assert refined.about["refiner"]["learned"]["outcome"] == "plain"
    assert np.array_equal(refined.refined, apply.load_refiner("webcam").refine([frame])[0].refined)


def test_what_cannot_refine_pictures_is_refused_before_the_first_frame(tmp_path):
    depth = checkpoint(tmp_path / "d.safetensors", "simgan-depth")
    pickled = tmp_path / "model.pt"
    pickled.write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    for spec, match in (
        (depth, "was trained on depth maps"),
        (pickled, "so it never is"),
        (tmp_path / "none.safetensors", "no such file"),
        (f"{checkpoint(tmp_path / 'c.safetensors')}+webcm", "did you mean 'webcam'"),
    ):
        with pytest.raises(AssetError, match=match), refining.open_refiner(str(spec)):
            pass


def test_another_python_refines_bit_for_bit_alike(frame, tmp_path):
    path = checkpoint(tmp_path / "tone.safetensors")
    with refining.External(path, sys.executable) as refiner:
        there = refiner.refine(frame)
    (here,) = apply.load_refiner(path).refine([frame])
    assert np.array_equal(here.refined, there.refined)
    assert here.about == there.about


def test_the_command_refines_a_dataset_and_again_only_with_other_weights(tmp_path, monkeypatch, capsys):
    recipe = Recipe.load("eye_rgb", ["image.width=110", "image.height=70"])
    mock = Station(renderer="mock")
    generate(Order(recipe, seed=5, count=2), tmp_path / "d", mock, 0, lambda event: None)
    with open_maker(mock, recipe, "none", print) as (make, _):
        writer = facewright.dataset.writer.Writer.join(tmp_path / "d")
        for index in range(2):
            writer.write(make(facewright.sample(recipe, 5, index), recipe.outputs))
    path = checkpoint(tmp_path / "tone.safetensors")
    monkeypatch.chdir(tmp_path)

    def refined():
        assert cli.main(["refine", "d", "--with", "tone.safetensors"]) == 0
        return capsys.readouterr().err.splitlines()[-1]

    assert refined().startswith("2 frames in")
    assert refined().startswith("0 frames in")
    dataset = facewright.dataset.open(tmp_path / "d", ["rgb", "refined"])
    for frame in dataset:
        assert frame.about["refiner"]["kind"] == "learned"
        assert frame.about["refiner"]["spec"] == str(path)
        assert frame.refined.mean() > frame.rgb.mean() + 5
    checkpoint(path, changes=["crop=0.9"])
    assert refined().startswith("2 frames in"), "the same weights see another view"
    checkpoint(path, shift=1)
    assert refined().startswith("2 frames in")


def test_paths_of_both_parts_are_made_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    here = str(tmp_path)
    assert commands.spec("a.safetensors+webcam") == f"{here}/a.safetensors+webcam"
    assert commands.spec("a.safetensors+my.yaml") == f"{here}/a.safetensors+{here}/my.yaml"
    assert commands.spec("a+b/c.safetensors") == f"{here}/a+b/c.safetensors"
    assert commands.spec("webcam") == "webcam"
