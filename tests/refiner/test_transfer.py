"""Transfers give a picture another one's statistics and leave its edges where they are."""

import numpy as np
import pytest
import torch
from kornia.color import rgb_to_lab
from PIL import Image

from facewright import commands
from facewright.errors import AssetError, DatasetError
from facewright.refining import TRANSFERS, split_spec
from facewright_refiner import apply, drift
from facewright_refiner.transfer import BETA, fda, histogram, reinhard


@pytest.fixture
def folder(tmp_path, make_frame):
    """Pictures of another light and colour: warm, and of half the contrast."""
    (tmp_path / "real").mkdir()
    for n in range(4):
        image = make_frame(50 + n, 80, 60).rgb * np.array([0.5, 0.4, 0.25]) + np.array([100, 80, 60])
        Image.fromarray(image.astype(np.uint8)).save(tmp_path / "real" / f"{n}.png")
    return tmp_path / "real"


@pytest.fixture
def two(make_frame):
    raw, real = (torch.from_numpy(make_frame(n, 64, 48).rgb / 255.0).permute(2, 0, 1).float() for n in (0, 7))
    return raw, real * 0.5 + 0.3


def test_reinhard_gives_mean_and_deviation(two):
    made = rgb_to_lab(reinhard(*two))
    wanted = rgb_to_lab(two[1])
    assert torch.allclose(made.mean((1, 2)), wanted.mean((1, 2)), atol=1)
    assert torch.allclose(made.std((1, 2)), wanted.std((1, 2)), atol=1.5)


def test_histograms_become_equal_in_each_channel(two):
    made = histogram(*two)
    for share in (0.1, 0.5, 0.9):
        found, wanted = (x.flatten(1).quantile(share, dim=1) for x in (made, two[1]))
        assert torch.allclose(found, wanted, atol=0.02)


def test_fda_takes_low_amplitudes_and_leaves_every_phase(two):
    made = fda(*two)
    ours, theirs, found = (torch.fft.rfft2(x) for x in (*two, made))
    rows, columns = torch.fft.fftfreq(48).abs()[:, None], torch.fft.rfftfreq(64)
    low = (rows <= BETA) & (columns <= BETA)
    assert 1 < int(low.sum()) < low.numel() / 50
    assert torch.allclose(found[:, low].abs(), theirs[:, low].abs(), rtol=1e-3, atol=1e-2)
    assert torch.allclose(found[:, ~low].abs(), ours[:, ~low].abs(), rtol=1e-3, atol=1e-2)
    strong = ours.abs() > 1
    turned = torch.angle(found / ours)[strong]
    assert turned.abs().max() < 0.05


@pytest.mark.parametrize("kind", TRANSFERS)
def test_frames_come_nearer_to_the_folder_and_nothing_moves(kind, folder, make_frame):
    frame = make_frame(1, 96, 72)
    refiner = apply.load_refiner(f"{kind}:{folder}")
    (refined,) = refiner.refine([frame])
    real = np.stack([np.asarray(Image.open(path)) for path in sorted(folder.iterdir())]).mean((0, 1, 2))
    gaps = [np.abs(x.mean((0, 1)) - real).mean() for x in (frame.rgb, refined.refined)]
    assert gaps[1] < 0.5 * gaps[0]
    assert refined.about["refiner"]["outcome"] == "refined"
    assert refined.about["refiner"]["kind"] == "transfer"
    assert drift.measure(refined).pupil < 0.3
    again = apply.load_refiner(f"{kind}:{folder}").refine([frame])[0]
    assert np.array_equal(again.refined, refined.refined)


@pytest.mark.parametrize("gain", [0.4, 1.0])
def test_dark_frames_take_dark_pictures_and_bright_ones_bright(gain, tmp_path, make_frame):
    for n, brightness in enumerate((0.45, 0.95)):
        Image.fromarray((make_frame(60 + n, 80, 60).rgb * brightness).astype(np.uint8)).save(tmp_path / f"{n}.png")
    frame = make_frame(1, 96, 72)
    frame.layers["rgb"] = (frame.rgb * gain).astype(np.uint8)
    (refined,) = apply.load_refiner(f"reinhard:{tmp_path}").refine([frame])
    real = [np.asarray(Image.open(tmp_path / f"{n}.png")).mean() for n in range(2)]
    assert abs(refined.refined.mean() - real[gain == 1]) < 0.3 * (real[1] - real[0])


def test_a_sensor_may_follow(folder, make_frame):
    chain = apply.load_refiner(f"fda:{folder}+webcam")
    (refined,) = chain.refine([make_frame(1, 96, 72)])
    assert refined.about["refiner"]["kind"] == "transfer+sensor"


def test_specs_are_split_and_made_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert split_spec("fda:real+webcam") == ("fda:real", "webcam")
    assert split_spec("a+b/c.safetensors") == ("a+b/c.safetensors", "")
    assert split_spec("a+b/c.onnx+none") == ("a+b/c.onnx", "none")
    assert commands.spec("reinhard:real") == f"reinhard:{tmp_path}/real"
    assert commands.spec("fda:real+my.yaml") == f"fda:{tmp_path}/real+{tmp_path}/my.yaml"
    assert commands.spec("x.onnx+none") == f"{tmp_path}/x.onnx+none"


def test_folders_that_cannot_be_used_are_named(tmp_path):
    with pytest.raises(DatasetError, match="no such folder"):
        apply.load_refiner(f"fda:{tmp_path / 'nowhere'}")
    with pytest.raises(AssetError, match="names no folder of real pictures"):
        apply.load_refiner("fda:")
