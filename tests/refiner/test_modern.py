"""The modern refiner: the identity at first, bounded for ever, and trained to where real pictures are."""

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

import facewright
import facewright.dataset
from facewright import Recipe, cli
from facewright.dataset import claim
from facewright.dataset.writer import Writer
from facewright.errors import DatasetError, FrameError, OutputError, RecipeError
from facewright.farm.generate import Order, generate
from facewright.farm.worker import Station, open_maker
from facewright.schema import Label
from facewright_refiner import apply, guides, losses, sensor
from facewright_refiner.checkpoint import build_refiner, load_checkpoint, save_checkpoint
from facewright_refiner.learned import LearnedRefiner, refine_image, resample
from facewright_refiner.modern import FLOOR, GAIN, NOISE, OFFSET, RESIDUAL, ModernRefiner, freedom
from facewright_refiner.modern_training import MIRROR, ModernTrainer
from facewright_refiner.presets import Config
from facewright_refiner.profile import Profile
from facewright_refiner.train import LOCK, best_of, train, trainer_of
from facewright_refiner.training_set import LEAST_HELD, PictureSet, hold_out, read_real, read_synthetic

WIDTH, HEIGHT = 48, 32
VEIL = 70
"""By how many levels the "real" pictures are veiled, compared with the synthetic ones."""
TINY = (
    "width=48",
    "height=32",
    "blocks=2",
    "features=8",
    "batch=4",
    "patch=16",
    "lr=2e-3",
    "camera=none",
    "average=0.8",
)
QUICK = (*TINY, "pretrain_judge=2", "pretrain_discriminator=1", "log_every=1", "save_every=2")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A dataset of painted eyes with all its layers, and its pictures veiled, as the real ones."""
    root = tmp_path_factory.mktemp("modern")
    changes = [f"image.width={WIDTH}", f"image.height={HEIGHT}", "subject.wear.glasses.kind=none"]
    recipe = Recipe.load("eye_rgb", changes)
    mock = Station(renderer="mock")
    generate(Order(recipe, seed=5, count=24), root / "eyes", mock, 0, lambda event: None)
    (root / "real").mkdir()
    with open_maker(mock, recipe, "none", print) as (make, _):
        writer = Writer.join(root / "eyes")
        for index in range(24):
            frame = make(facewright.sample(recipe, 5, index), recipe.outputs)
            writer.write(frame)
            veiled = (frame.rgb * (1 - VEIL / 255) + VEIL).astype(np.uint8)
            Image.fromarray(veiled).save(root / "real" / f"{index:03d}.png")
    return root / "eyes", root / "real"


@pytest.fixture(scope="module")
def sets(folders):
    config = Config.of("modern", TINY)
    return read_synthetic(folders[0], config), read_real(folders[1], config)


def random_refiner(channels=3, seed=0):
    """Return a refiner whose heads are at work, with inputs for it."""
    torch.manual_seed(seed)
    refiner = ModernRefiner(channels, features=8, levels=2)
    guide = torch.zeros(2, guides.CHANNELS, HEIGHT, WIDTH)
    guide[:, 0] = 1
    guide[:, :, 8:24, 12:36] = 0
    guide[:, guides.IRIS[0], 8:24, 12:36] = 1
    picture = torch.rand(2, channels, HEIGHT, WIDTH) * 2 - 1
    return refiner, (picture, guide, torch.randn(2, NOISE, HEIGHT, WIDTH))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_new_refiner_is_the_identity_bit_for_bit(channels):
    refiner, inputs = random_refiner(channels)
    assert torch.equal(refiner(*inputs), inputs[0])
    refiner(*inputs).square().mean().backward()
    for head in (refiner.detail, refiner.tone, refiner.tones):
        assert head.weight.grad.abs().max() > 0, "and can leave it"


def test_what_it_may_change_is_bounded_and_least_on_outlines():
    refiner, (picture, guide, noise) = random_refiner()
    for parameter in refiner.parameters():
        parameter.data += torch.randn_like(parameter)
    changed = (refiner(picture, guide, noise) - picture).abs() / 2
    most = np.expm1(GAIN) + OFFSET + RESIDUAL
    assert 0.1 < changed.max() <= most
    refiner.tone.weight.data.zero_(), refiner.tone.bias.data.zero_()
    refiner.tones.weight.data.zero_(), refiner.tones.bias.data.zero_()
    detail = (refiner(picture, guide, noise) - picture).abs().amax((0, 1)) / 2
    free = freedom(guide)[0, 0]
    assert free[12, 12] == pytest.approx(FLOOR, abs=0.01), "an outline of the iris"
    assert free[0, 0] == free[16, 24] == 1, "skin, and the middle of the iris"
    assert (detail <= RESIDUAL * free + 1e-6).all()
    assert detail[16, 24] > FLOOR * RESIDUAL


def test_a_guide_tells_what_is_where():
    seg = np.array([[Label.SKIN, Label.LEFT_IRIS], [Label.RIGHT_PUPIL, Label.HAT]], np.uint8)
    layers = {"seg": seg, "depth": np.array([[400, 500], [600, 0.0]]), "normal": np.full((2, 2, 3), 0.5)}
    guide = guides.guide_of(layers)
    assert guide.shape == (guides.CHANNELS, 2, 2)
    names = [*guides.GROUPS]
    found = [[names[n] for n in row] for row in guide[: len(names)].argmax(0)]
    assert found == [["skin", "iris"], ["pupil", "other"]]
    assert guide[len(names)].tolist() == [[0, 0.5], [1, 1]]
    with pytest.raises(FrameError, match="the frame has no normal"):
        guides.guide_of({"seg": seg, "depth": layers["depth"]})
    assert guides.iris_of(guide) is None, "too little"
    large = np.kron(guide, np.ones((1, 8, 8), np.float32))
    centre, radius = guides.iris_of(large)
    assert centre.tolist() == [8, 8]
    assert radius == pytest.approx(np.sqrt(128 / np.pi))
    assert MIRROR[:, 0, 0].tolist() == [1] * (guides.CHANNELS - 3) + [-1, 1, 1]


@pytest.mark.parametrize("size", [(20, 30), (48, 80), (101, 64)])
def test_scaling_without_torch_is_scaling_with_it(size):
    image = np.random.default_rng(0).random((3, 48, 80), np.float32)
    wanted = sensor.resample(torch.from_numpy(image)[None], size)[0].numpy()
    assert np.abs(resample(image, size) - wanted).max() < 1e-5


def test_losses_by_hand():
    above, below = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    wanted = (np.log1p(np.exp(-2)) + np.log1p(np.exp(1))) / 2
    assert losses.relativistic(above, below).item() == pytest.approx(wanted, abs=1e-6)
    picture = torch.rand(3, 1, 4, 4, requires_grad=True)
    weight = torch.arange(16.0).reshape(4, 4)
    score = (picture * weight).sum((1, 2, 3))[:, None]
    assert losses.gradient_penalty(score, [picture]).item() == pytest.approx(float(weight.square().sum()) / 2)
    raw = torch.zeros(1, 1, 2, 2)
    refined = torch.tensor([[[[0.2, 0.0], [0.0, 0.0]]]])
    # pixels: one of four is off by 2 units; differences: two of four
    assert losses.squared_change(refined, raw, 0.1).item() == pytest.approx(4 / 4 + 2 * 4 / 4)


def test_it_learns_the_real_pictures_tone_within_the_budget_and_moves_nothing(folders, sets):
    changes = (*TINY, "pretrain_judge=40", "pretrain_discriminator=5", "steps=240", "budget=0.1", "lr=4e-3")
    trainer = trainer_of(Config.of("modern", changes), *sets)
    assert torch.equal(trainer.refine_probes(), trainer.probes)
    rows = []
    while trainer.position[0] != "done":
        rows.append(trainer.step())
    assert rows[39]["accuracy"] > 0.8, "the judge knows its classes"
    assert rows[39]["regularization"] < 0.6 * rows[0]["regularization"]
    refined = trainer.refine_probes()
    gaps = [abs(float(x.quantile(0.1) - sets[1].pictures.float().quantile(0.1))) / 2 for x in (trainer.probes, refined)]
    assert gaps[1] < 0.5 * gaps[0], gaps
    assert trainer.probed()["change"] < 0.2
    from facewright_refiner.selection import Standard

    found = Standard(sets[1].pictures, trainer).judge(trainer)
    assert found["realism"] < 0.9
    assert found["drift"] < 0.5


def test_the_weight_of_regularization_follows_the_budget(sets):
    trainer = trainer_of(Config.of("modern", (*TINY, "budget=0.05", "lam=2")), *sets)
    seen = []
    for change in (0.05, 0.2, 0.0):
        trainer._drive(change)
        seen.append(trainer.lam)
    assert seen[0] == 2
    assert seen[1] > 2.05
    assert 2 < seen[2] < seen[1], "it falls more slowly than it rises"
    for _ in range(1000):
        trainer._drive(0.0)
    assert trainer.lam > 0.01, "and never so far that it could not come back"


def test_patches_are_paired_by_what_they_show(sets):
    trainer = trainer_of(Config.of("modern", (*TINY, "batch=8")), *sets)
    trainer.networks["judge"].layers[-1].weight.data *= 100  # a new judge has hardly any opinion
    batch, real = trainer._synthetic(), trainer._real()
    refined, matched = trainer._pairs(batch.pictures, real, batch)
    groups = len(guides.GROUPS)
    for made, wanted in zip(refined, matched, strict=True):
        assert made.shape == wanted.shape == (16, 3 + groups, 16, 16)
        layout, other = (x[:, -groups:].mean((2, 3)) for x in (made, wanted))
        assert (layout - other).norm(dim=1).mean() < 0.8 * (layout - other.roll(1, 0)).norm(dim=1).mean()


def run(folders, folder, *changes, emit=lambda event: None, preset="modern"):
    config = Config.of(preset, [*QUICK, "steps=5", *changes])
    return train(*folders, folder, config, "cpu", emit)


@pytest.mark.parametrize(
    "changes", [["camera=webcam"], ["look=gray", "camera=nir_eye", "accumulate=2", "precision=auto"]]
)
def test_a_run_that_was_killed_and_resumed_equals_one_that_was_not(folders, tmp_path, changes):
    run(folders, tmp_path / "whole", *changes)

    def die(event):
        if event["event"] == "train" and event["phase"] == "both" and event["step"] == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(folders, tmp_path / "killed", *changes, emit=die)
    run(folders, tmp_path / "killed", *changes)
    for name in ("metrics.csv", "refiner.json", "refiner.safetensors", "state.safetensors", "samples/000005.png"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "killed" / name).read_bytes(), name
    assert not (tmp_path / "whole" / LOCK).exists()


def test_a_checkpoint_is_put_before_the_camera_it_was_trained_before(folders, tmp_path):
    path = run(folders, tmp_path / "run", "camera=webcam")
    frame = facewright.dataset.open(folders[0])[3]
    chain = apply.load_refiner(path)
    assert isinstance(chain, apply.ChainedRefiner)
    assert {*chain.needs} == {"rgb", "linear", *guides.LAYERS}
    assert chain.camera.profile.digest == Profile.load("webcam").digest
    (refined,) = chain.refine([frame])
    assert refined.about["refiner"]["learned"]["outcome"] == "refined"
    assert refined.about["refiner"]["weights"] == load_checkpoint(path).digest
    alone = apply.load_refiner(f"{path}+none")
    assert isinstance(alone, LearnedRefiner)
    assert apply.load_refiner(f"{path}+phone").camera.profile.name == "phone"
    del frame.layers["normal"]
    with pytest.raises(FrameError, match="has no normal"):
        alone.refine([frame])


def test_the_command_refines_a_dataset_that_kept_only_what_the_refiner_sees(folders, tmp_path):
    path = run(folders, tmp_path / "run")
    size = ["image.width=60", "image.height=40", "outputs=[seg, depth, normal]"]
    recipe, mock = Recipe.load("eye_rgb", size), Station(renderer="mock")
    generate(Order(recipe, seed=6, count=2), tmp_path / "d", mock, 1, lambda event: None)
    assert cli.main(["refine", str(tmp_path / "d"), "--with", str(path)]) == 0
    for frame in facewright.dataset.open(tmp_path / "d", ["rgb", "refined"]):
        assert frame.about["refiner"]["outcome"] == "refined"
        assert frame.refined.shape == (40, 60, 3)


def test_generate_renders_for_the_refiner_what_the_recipe_does_not_keep(folders, tmp_path, capsys):
    path = run(folders, tmp_path / "run")
    keep = ["--set", "outputs=[seg]", "--set", "image.width=48", "--set", "image.height=48"]
    command = ["generate", "eye_rgb", "--renderer", "mock", "--count", "2", *keep]
    assert cli.main([*command, "-o", str(tmp_path / "a"), "--refine", str(path)]) == 0
    frame = facewright.dataset.open(tmp_path / "a")[0]
    assert sorted(frame.layers) == ["refined", "rgb", "seg"]
    assert frame.about["refiner"]["outcome"]
    assert cli.main([*command, "-o", str(tmp_path / "b")]) == 0
    capsys.readouterr()
    assert cli.main(["refine", str(tmp_path / "b"), "--with", str(path)]) == 2
    assert "the refiner reads the layers depth, normal, which this dataset has not" in capsys.readouterr().err


def test_frames_of_any_size_are_refined_and_noise_is_each_frames_own(folders, tmp_path):
    config = Config.of("modern", TINY)
    torch.manual_seed(0)
    refiner = build_refiner(config)
    for parameter in refiner.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    save_checkpoint(tmp_path / "m.safetensors", refiner, {"config": config.to_data()})
    network = load_checkpoint(tmp_path / "m.safetensors")
    random = np.random.default_rng(0)
    for height, width in ((32, 48), (67, 101), (30, 45)):
        image = random.integers(0, 256, (height, width, 3), np.uint8)
        guide = np.zeros((guides.CHANNELS, height, width), np.float32)
        pictures = [refine_image(network, image, 1.0, guide, (1, index)) for index in (0, 0, 1)]
        assert pictures[0].shape == image.shape
        assert np.array_equal(pictures[0], pictures[1])
        assert not np.array_equal(pictures[0], pictures[2])
    with pytest.raises(FrameError, match="a picture alone does not have"):
        refine_image(network, image)


def test_the_best_checkpoint_is_the_most_real_one_that_moved_nothing(folders, tmp_path):
    rows = [{"n": n, "realism": r, "drift": d} for n, r, d in ((1, 0.9, 0.1), (2, 0.5, 0.9), (3, 0.7, 0.2))]
    assert best_of([{"n": 0}, *rows], 0.3)["n"] == 3
    assert best_of(rows[1:2], 0.3) is None
    many = tmp_path / "many"
    many.mkdir()
    for n in range(LEAST_HELD):
        (many / f"{n:03d}.png").write_bytes((folders[1] / f"{n % 24:03d}.png").read_bytes())
    events = []
    path = run((folders[0], many), tmp_path / "run", emit=events.append)
    assert path.name == "best.safetensors"
    judged = [event for event in events if event["event"] == "train" and event["realism"] is not None]
    assert [event["step"] for event in judged] == [1, 3, 5], "wherever there is a checkpoint"
    best = min((event for event in judged if event["drift"] <= 0.3), key=lambda event: event["realism"])
    assert json.loads(path.with_suffix(".json").read_text())["step"] == best["step"]


def test_whole_groups_are_held_out_and_few_pictures_are_all_trained_on():
    names = [f"person {n // 4}" for n in range(100)] + ["crowd"] * 100
    pictures = torch.arange(200.0)[:, None, None, None].half()
    kept, held = hold_out(PictureSet(pictures, "", [], names))
    out = {int(x) for x in held.flatten()}
    assert len(kept.pictures) + len(held) == 200
    assert 32 <= len(out) <= 40
    assert not out & {int(x) for x in kept.pictures.flatten()}
    assert all({*range(n // 4 * 4, n // 4 * 4 + 4)} <= out for n in out)
    assert len(kept.groups) == len(kept.pictures)
    assert hold_out(PictureSet(pictures[:50], "", [], names[:50]))[1] is None


def test_two_trainers_do_not_share_a_folder(folders, tmp_path):
    (tmp_path / "run").mkdir()
    assert claim.acquire(tmp_path / "run" / LOCK)
    (tmp_path / "run/run.json").write_text("{}")
    with pytest.raises(OutputError, match=r"process \d+ on .* trains there"):
        run(folders, tmp_path / "run")
    assert (tmp_path / "run" / LOCK).exists(), "the other's"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (["width=81"], "width: 81 is not a multiple of 8"),
        (["patch=32"], "patch: 2 x 32 px do not fit into 80 x 48 px"),
        (["accumulate=3"], "16 pictures cannot be split into 3 parts"),
        (["precision=fp16"], "is not one of fp32, bf16, auto"),
    ],
)
def test_a_config_that_cannot_be_meant_is_refused(changes, sentence):
    with pytest.raises(RecipeError, match=sentence):
        Config.of("modern", changes)


def test_without_layers_to_see_it_is_refused_before_anything_is_done(folders, tmp_path, capsys):
    with pytest.raises(DatasetError, match="is not a Facewright dataset; the preset modern learns from the layers seg"):
        train(folders[1], folders[1], tmp_path / "run", Config.of("modern", QUICK), "cpu", print)
    command = [
        "train-refiner",
        "--synthetic",
        folders[0],
        "--real",
        folders[1],
        "-o",
        tmp_path / "x",
        "--preset",
        "modern",
    ]
    assert cli.main([*map(str, command), "--set", "camera=webcm"]) == 2
    assert "did you mean 'webcam'" in capsys.readouterr().err


def test_the_presets_of_the_family_can_be_built():
    for name, channels in (("modern", 3), ("modern-nir", 1), ("modern-face", 3)):
        config = Config.of(name)
        assert config.channels == channels
        assert config.guided
        assert Profile.load(config.camera)
        sample = torch.zeros(2, channels, config.height, config.width).half()
        seen = torch.zeros(2, guides.CHANNELS, config.height, config.width).half()
        trainer = ModernTrainer(config, PictureSet(sample, "", [], (), seen, torch.ones(2)), PictureSet(sample, "", []))
        assert 100_000 < sum(p.numel() for p in trainer.refiner.parameters()) < 4_000_000


def test_two_processes_train_as_one_that_takes_its_batch_in_two_parts(folders, tmp_path):
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        known = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(found.getsockname()[1]), "WORLD_SIZE": "2"}
    known |= {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "facewright", "train-refiner", "--preset", "modern", "--steps", "2"]
    command += ["--device", "cpu", "--synthetic", folders[0], "--real", folders[1], "-o", tmp_path / "two"]
    command += [part for change in QUICK for part in ("--set", change)]
    workers = [
        subprocess.Popen([*map(str, command)], env=os.environ | known | {"RANK": str(n)}, stderr=subprocess.PIPE)
        for n in range(2)
    ]
    run(folders, tmp_path / "one", "steps=2", "accumulate=2")
    words = [worker.communicate(timeout=120)[1] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], words
    files = [tmp_path / name / "refiner.safetensors" for name in ("one", "two")]
    one, two = (load_checkpoint(file).refiner.state_dict() for file in files)
    moved = [float((one[name] - two[name]).abs().max()) for name in one]
    assert max(moved) < 3e-3, "Adam's steps are of 2e-3, whatever rounding did"
    assert two["detail.weight"].abs().max() > 1e-4
