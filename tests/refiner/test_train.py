"""Training: towards the real pictures, to the same numbers after a kill, and with words for what goes wrong."""

import csv
import json
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from facewright import cli
from facewright.errors import AssetError, DatasetError, OutputError, RecipeError, TrainingError
from facewright_refiner import train as training
from facewright_refiner.checkpoint import load_checkpoint, read_tensors, save_checkpoint, write_tensors
from facewright_refiner.drift import registration
from facewright_refiner.losses import self_regularization
from facewright_refiner.networks import refiner_of
from facewright_refiner.presets import PRESETS, Config
from facewright_refiner.profile import View
from facewright_refiner.train import advice, train, trainer_of
from facewright_refiner.trainer import Trainer
from facewright_refiner.training_set import PictureSet, depth_levels, read_real, read_synthetic, viewed

SHIFT = 60
"""By how many levels the "real" pictures of these tests are veiled, compared with the synthetic ones."""
SMALL = ("batch=8", "blocks=1", "features=16", "optimizer=adam", "lr=0.001", "pool=64")
QUICK = (*SMALL, "batch=4", "features=8", "pretrain_refiner=3", "pretrain_discriminator=2", "log_every=1")


@pytest.fixture(scope="module")
def folders(tmp_path_factory, make_frame):
    root = tmp_path_factory.mktemp("pictures")
    for name, first, shift in (("synthetic", 0, 0), ("real", 100, SHIFT), ("held out", 200, 0)):
        (root / name).mkdir()
        for n in range(24):
            image = make_frame(first + n, 55, 35).rgb
            image = (image * (1 - shift / 255) + shift).astype(np.uint8)
            Image.fromarray(image).save(root / name / f"{n}.png")
    return root / "synthetic", root / "real", root / "held out"


def quick(folders, run, *changes, emit=lambda event: None):
    config = Config.of("simgan", [*QUICK, "steps=6", "save_every=3", *changes])
    return train(folders[0], folders[1], run, config, "cpu", emit)


def test_refined_pictures_move_to_the_real_ones_and_pre_training_alone_does_not(folders):
    config = Config.of("simgan", [*SMALL, "pretrain_refiner=30", "pretrain_discriminator=10", "steps=60", "lam=4"])
    sets = read_synthetic(folders[0], config), read_real(folders[1], config)
    unseen = read_synthetic(folders[2], config).pictures.float()
    trainer = trainer_of(config, *sets)
    gaps = {}
    while trainer.position[0] != "done":
        if trainer.position == ("both", 0):
            gaps["pre-trained"] = gap(trainer.refine(unseen), sets[1])
            start = trainer.refine(unseen)
        trainer.step()
    gaps["raw"], gaps["refined"] = gap(unseen, sets[1]), gap(trainer.refine(unseen), sets[1])
    assert gaps["raw"] > 0.7 * SHIFT / 255
    assert gaps["pre-trained"] > 0.8 * gaps["raw"]
    assert gaps["refined"] < 0.5 * gaps["raw"], gaps
    assert (start - unseen).abs().mean() < 0.1, "pre-training is about the identity"
    shifts = [
        registration(*(image[0].double().numpy() for image in pair)).px
        for pair in zip(unseen, trainer.refine(unseen), strict=True)
    ]
    assert np.median(shifts) < 1, "the eyes stayed where they were"


def gap(pictures, real):
    """Return how far the darkest twentieth, a percentile that a veil moves, is from the real pictures', 0 to 1."""
    return abs(float(pictures.quantile(0.02) - real.pictures.float().quantile(0.02))) / 2


@pytest.mark.parametrize("change", ["optimizer=adam", "optimizer=sgd", "psi=feature"])
def test_a_run_that_was_killed_and_resumed_equals_one_that_was_not(folders, tmp_path, change):
    learned = 3 if change == "psi=feature" else 0  # more updates at the start
    changes = [change, *([f"pretrain_features={learned}"] if learned else [])]
    quick(folders, tmp_path / "whole", *changes)
    stop_at = 14 + learned  # updates, at step 8 (and those); the last state is two steps older

    def die(event):
        if event["event"] == "train" and event["done"] == stop_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quick(folders, tmp_path / "killed", *changes, emit=die)
    rows = tmp_path / "killed/metrics.csv"
    assert (
        len(rows.read_text().splitlines()) > 1 + read_tensors(tmp_path / "killed/state.safetensors")[1]["counters"]["n"]
    )
    rows.write_text(rows.read_text() + "1")  # and the kill tore a line
    starts = []
    quick(folders, tmp_path / "killed", *changes, emit=lambda e: starts.append(e.get("done")))
    assert 0 < starts[1] < stop_at
    for name in ("metrics.csv", "refiner.json", "refiner.safetensors", "state.safetensors", "samples/000006.png"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "killed" / name).read_bytes(), name
    assert sorted(p.name for p in (tmp_path / "killed/checkpoints").glob("*.safetensors")) == [
        "000001.safetensors",
        "000004.safetensors",
        "000006.safetensors",
    ]


def test_another_seed_is_another_run_and_more_steps_continue_one(folders, tmp_path):
    quick(folders, tmp_path / "a")
    quick(folders, tmp_path / "b", "seed=1")
    a, b = ((tmp_path / name / "metrics.csv").read_text() for name in "ab")
    assert a.splitlines()[1] != b.splitlines()[1]
    quick(folders, tmp_path / "a", "steps=8")
    longer = (tmp_path / "a/metrics.csv").read_text()
    assert longer.startswith(a)
    assert len(longer.splitlines()) == len(a.splitlines()) + 2
    with pytest.raises(OutputError, match="is 2 iterations further than 6"):
        quick(folders, tmp_path / "a")


def test_the_phases_follow_each_other_and_train_what_they_should(folders):
    config = Config.of("simgan", [*QUICK, "steps=1", "refiner_steps=3", "discriminator_steps=2"])
    trainer = trainer_of(config, read_synthetic(folders[0], config), read_real(folders[1], config))
    rows = []
    while trainer.position[0] != "done":
        before = [weights(trainer.refiner), weights(trainer.discriminator)]
        rows.append(trainer.step())
        after = [weights(trainer.refiner), weights(trainer.discriminator)]
        moved = tuple(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
        wanted = {"refiner": (True, False), "discriminator": (False, True), "both": (True, True)}
        assert moved == wanted[rows[-1]["phase"]]
    assert [row["phase"] for row in rows] == ["refiner"] * 3 + ["discriminator"] * 2 + ["both"]
    # batches of 4: 3 + 2 in pre-training, then K_g = 3 and K_d = 2
    assert trainer.counters == {"n": 6, "synthetic": 4 * (3 + 2 + 3 + 2), "real": 4 * (2 + 2)}
    assert trainer.pool.uses == 4


def weights(network):
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()]).clone()


def test_a_learned_psi_comes_first_and_sees_content_rather_than_light_or_noise(folders):
    config = Config.of("simgan", [*QUICK, "batch=8", "psi=feature", "pretrain_features=120", "steps=2"])
    sets = read_synthetic(folders[0], config), read_real(folders[1], config)
    trainer = trainer_of(config, *sets)
    assert trainer.position == ("features", 0)
    losses = [trainer.step()["regularization"] for _ in range(120)]
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:10]), "it learns to restore"
    assert trainer.position == ("refiner", 0)
    raw = sets[0].pictures.float()
    noise = torch.randn(raw.shape, generator=torch.Generator().manual_seed(3))

    def seen(other):
        return self_regularization(trainer.psi, other, raw, 1).item()

    assert seen(0.6 * raw + 0.1) < 0.02
    assert seen(raw.flip(0)) == pytest.approx(float((raw.flip(0) - raw).abs().mean()), rel=0.3)
    moved = seen(raw.roll(2, dims=-1))
    noisy = raw + noise * float((raw.roll(2, dims=-1) - raw).abs().mean() / noise.abs().mean())
    assert moved > seen(noisy), "two changes that pixels see alike"
    kept = trainer.networks["features"].state_dict()
    before = {name: tensor.clone() for name, tensor in kept.items()}
    while trainer.position[0] != "done":
        trainer.step()
    assert all(torch.equal(before[name], tensor) for name, tensor in kept.items()), "it is frozen afterwards"


def test_every_picture_is_seen_once_in_an_epoch_and_epochs_differ():
    pictures = PictureSet(torch.arange(7.0)[:, None, None, None].half(), "", [])
    series = [int(v) for n in range(7) for v in pictures.batch(3, 3 * n, 3, "real")[:, 0, 0, 0]]
    assert sorted(series[:7]) == sorted(series[7:14]) == sorted(series[14:]) == [*range(7)]
    assert series[:7] != series[7:14]
    assert pictures.batch(3, 2, 17, "real")[:, 0, 0, 0].tolist() == series[2:19]


def test_events_and_files_tell_how_it_goes(folders, tmp_path):
    events = []
    path = quick(folders, tmp_path / "run", emit=events.append)
    kinds = [event["event"] for event in events]
    assert kinds[0] == "warning"
    assert "only 24 real pictures" in events[0]["message"]
    assert kinds[1] == "start"
    assert kinds[-1] == "done"
    assert events[1]["total"] == 3 + 2 + 6 * 3
    rows = [event for event in events if event["event"] == "train"]
    assert rows[-1]["done"] == events[1]["total"]
    assert rows[-1]["eta_s"] == 0
    assert rows[5]["eta_s"] > 0
    with (tmp_path / "run/metrics.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [row["phase"] for row in table] == [event["phase"] for event in rows]
    assert float(table[-1]["change"]) == rows[-1]["change"]
    card = json.loads(path.with_suffix(".json").read_text())
    assert card["config"]["seed"] == 0
    assert card["data"]["real"]["pictures"] == 24
    assert card["data"]["real"]["fingerprint"] != card["data"]["synthetic"]["fingerprint"]
    assert card["metrics"]["discriminator"] == rows[-1]["discriminator"]
    with Image.open(tmp_path / "run/samples/000006.png") as sheet:
        assert sheet.size == (8 * 55 * 2, 3 * 35 * 2)


def both(**values):
    row = {"phase": "both", "change": 0.08, "spread": 0.9, "discriminator": 1.0}
    return [{"phase": "refiner", "change": 0.02, "spread": 0.9}] + [row | values] * training.WINDOW


@pytest.mark.parametrize(
    ("values", "kinds"),
    [
        ({}, []),
        ({"change": 0.004}, ["no change"]),
        ({"change": 0.019}, ["no change"]),  # no more than after pre-training
        ({"change": 0.3}, ["much change"]),
        ({"spread": 0.1}, ["collapse"]),
        ({"discriminator": 1.386}, ["no signal"]),
        ({"spread": 0.1, "change": 0.3}, ["much change", "collapse"]),
    ],
)
def test_what_goes_wrong_is_said_in_words(values, kinds):
    found = advice(both(**values))
    assert [*found] == kinds
    assert all("lam" in sentence or "lr" in sentence for sentence in found.values())
    assert advice(both(**values)[:-1]) == {}, "not before all rows agree"


def test_a_driven_weight_is_left_to_fall_before_advice():
    assert advice([row | {"lam": 0.5**n} for n, row in enumerate(both(change=0.004))]) == {}
    assert "raise lr" in advice(both(change=0.004, lam=0.02))["no change"]
    assert "lower the budget" in advice(both(change=0.3, lam=5.0))["much change"]


def test_a_run_that_changes_nothing_says_so_once(folders, tmp_path):
    events = []
    quick(folders, tmp_path / "run", "lr=1e-7", "steps=8", emit=events.append)
    said = [
        event["message"]
        for event in events
        if event["event"] == "warning" and "no more than before" in event["message"]
    ]
    assert len(said) == 1
    assert said[0] in json.loads((tmp_path / "run/refiner.json").read_text())["advice"]


def test_numbers_that_run_away_stop_the_run_and_the_last_good_state_stays(folders, tmp_path):
    with pytest.raises(TrainingError, match=r"nothing was saved yet; .* smaller lr"):
        quick(folders, tmp_path / "a", "lr=10", "optimizer=sgd", "lam=1e4", "save_every=100", "pretrain_refiner=40")
    trainer_step = Trainer.step

    def runs_away(self):
        row = trainer_step(self)
        if row["n"] == 8:
            self.refiner.head.bias.data.fill_(float("nan"))
        return row

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "step", runs_away)
        with pytest.raises(TrainingError, match="loss of both step 4 is nan; the state of step 6 is kept"):
            quick(folders, tmp_path / "b")
    assert load_checkpoint(tmp_path / "b/refiner.safetensors").card["step"] == 1
    quick(folders, tmp_path / "b")
    assert "nan" not in (tmp_path / "b/metrics.csv").read_text()


def test_colour_and_depth_train_too(folders, tmp_path):
    tiny = ["width=28", "height=24", "batch=2", "blocks=1", "features=4", "pool=4", "steps=1", *QUICK[-3:]]
    train(folders[0], folders[1], tmp_path / "c", Config.of("simgan-colour", tiny), "cpu", lambda event: None)
    for name in ("near", "far"):
        (tmp_path / name).mkdir()
        for n in range(16):
            depth = np.add.outer(np.arange(40), np.arange(40) * n).astype(np.uint16) * 20 + 300
            Image.fromarray(depth).save(tmp_path / name / f"{n}.png")
    config = Config.of("simgan-depth", tiny)
    path = train(tmp_path / "near", tmp_path / "far", tmp_path / "d", config, "cpu", lambda event: None)
    assert load_checkpoint(path).config.look == "depth"


def test_views_are_luma_colour_or_depth_from_near_to_far():
    image = np.zeros((4, 4, 3), np.uint8)
    image[..., 0], image[..., 1] = 255, 51
    assert viewed(image, "gray", View())[0, 0, 0, 0].item() == pytest.approx(2 * (0.299 + 0.587 * 0.2) - 1, abs=1e-6)
    assert viewed(image, "colour", View())[0, :, 0, 0].tolist() == pytest.approx([1, -0.6, -1])
    assert depth_levels(np.array([[0, 400, 500, 600.0]])).tolist() == [[1, 0, 0.5, 1]]
    assert viewed(image, "gray", View(0.5, 2, 2)).shape == (1, 1, 2, 2)


def test_depth_maps_of_16_bits_keep_them_and_pictures_are_refused(tmp_path):
    for n in range(17):
        Image.fromarray(np.arange(1024, dtype=np.uint16).reshape(32, 32) + 30_000 + n).save(tmp_path / f"{n:02d}.png")
    Image.new("RGB", (32, 32)).save(tmp_path / "photo.png")
    found = read_synthetic(tmp_path, Config.of("simgan-depth", ["width=32", "height=32"]))
    assert len(found.pictures) == 17
    assert "photo.png: has 3 channels, and a depth map one" in found.notes[0]
    assert found.pictures[0, 0, 16].diff().min() > 0, "8 bits would show 4 equal steps in a row"


def test_mixed_sizes_are_cut_to_the_view_and_enlarging_is_told(tmp_path):
    for n in range(20):
        Image.new("RGB", (30 + n, 60 - n), (10 * n, 0, 0)).save(tmp_path / f"{n:02d}.png")
    found = read_real(tmp_path, Config())
    assert found.pictures.shape == (20, 1, 35, 55)
    assert found.pictures[3].float().mean().item() == pytest.approx(2 * 0.299 * 30 / 255 - 1, abs=1e-3)
    assert "20 of 20 pictures are smaller than 55 x 35 px and were enlarged" in found.notes[0]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (["lamb=3"], "unknown key 'lamb'; did you mean 'lam'?"),
        (["batch=1"], "batch: 1 is outside [2, 8192]"),
        (["batch=many"], "batch: expected a finite number, got 'many'"),
        (
            ["psi=gradient"],
            "psi: 'gradient' is not one of identity, gradients, mean-colour, low-pass, feature; did you mean",
        ),
        (["psi=mean-colour"], "mean-colour needs pictures in colour"),
        (["family=depth"], "depth networks are not for gray pictures"),
        (["batch"], "--set 'batch': expected key=value"),
    ],
)
def test_a_config_that_cannot_be_meant_is_refused(changes, sentence):
    with pytest.raises(RecipeError) as caught:
        Config.of("simgan", changes)
    assert sentence in str(caught.value)


def test_presets_are_the_papers_and_are_their_own_data_again():
    simgan = Config.of("simgan")
    assert (simgan.height, simgan.width, simgan.blocks, simgan.features, simgan.batch) == (35, 55, 4, 64, 512)
    assert (simgan.optimizer, simgan.lr, simgan.pretrain_refiner, simgan.pretrain_discriminator) == (
        "sgd",
        1e-3,
        1000,
        200,
    )
    depth = Config.of("simgan-depth")
    assert (depth.height, depth.width, depth.blocks, depth.channels) == (224, 224, 10, 1)
    assert Config.of("simgan-colour").psi == "mean-colour"
    for name in PRESETS:
        assert Config.from_data(Config.of(name).to_data()) == Config.of(name)


def mistake(capsys, *arguments):
    assert cli.main([str(argument) for argument in arguments]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    return shown.err


def test_mistakes_on_the_command_line_are_one_sentence(folders, tmp_path, capsys):
    def said(*extra, synthetic=folders[0], real=folders[1], run=tmp_path / "run"):
        return mistake(capsys, "train-refiner", "--synthetic", synthetic, "--real", real, "-o", run, *extra)

    (tmp_path / "empty").mkdir()
    (tmp_path / "few").mkdir()
    Image.new("RGB", (60, 40)).save(tmp_path / "few/a.png")
    (tmp_path / "few/b.png").write_bytes(b"no")
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset/dataset.json").write_text("{}")
    (tmp_path / "file").write_text("x")
    assert "no preset 'simgun'; did you mean 'simgan'?" in said("--preset", "simgun")
    assert "unknown key 'lamb'" in said("--set", "lamb=3")
    assert "holds no picture" in said(real=tmp_path / "empty")
    assert "no such folder" in said(real=tmp_path / "nowhere")
    few = said(real=tmp_path / "few")
    assert "1 readable pictures are too few" in few
    assert "b.png" in few
    assert "is a Facewright dataset; --real takes" in said(real=tmp_path / "dataset")
    assert "is a file; give a folder" in said(run=tmp_path / "file")
    assert "is not empty and not a training run" in said(run=folders[0])
    assert "--steps: -1 is outside" in said("--steps", -1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "safetensors", None)
        assert "pip install safetensors" in said(run=tmp_path / "new")
        assert not (tmp_path / "new").exists(), "before anything was done"
    if not torch.cuda.is_available():
        assert "finds no CUDA device" in said("--device", "cuda")


def test_the_command_trains_continues_and_refuses_another_run(folders, tmp_path, capsys):
    command = ["train-refiner", "--synthetic", folders[0], "--real", folders[1], "-o", tmp_path / "run"]
    command += [part for change in QUICK for part in ("--set", change)]
    command = [str(part) for part in command]
    assert cli.main([*command, "--steps", "2", "--json-events"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert events[-1] | {"seconds": 0} == {"event": "done", "made": 11, "failed": 0, "seconds": 0, "what": "updates"}
    assert cli.main([*command, "--steps", "3"]) == 0
    shown = capsys.readouterr()
    assert shown.out == f"{tmp_path / 'run/refiner.safetensors'}\n"
    assert "14 updates in" in shown.err
    assert "11 are there already" in shown.err
    assert "holds a run with another config (lam 7.6, now 3.0)" in mistake(capsys, *command, "--set", "lam=3")
    state = tmp_path / "run/state.safetensors"
    state.write_bytes(state.read_bytes()[:-9])
    assert "state.safetensors: is not a readable .safetensors file" in mistake(capsys, *command, "--steps", "3")
    with pytest.raises(OutputError, match="holds a run with other pictures"):
        train(folders[0], folders[2], tmp_path / "run", Config.of("simgan", [*QUICK, "steps=3"]), "cpu", print)


def test_checkpoints_are_read_only_as_what_they_are(tmp_path):
    config = Config.of("simgan", ["blocks=1", "features=4"])
    refiner = refiner_of("eye", 1, 1, features=4)
    good = tmp_path / "good.safetensors"
    save_checkpoint(good, refiner, {"config": config.to_data(), "step": 1})
    loaded = load_checkpoint(good)
    assert torch.equal(weights(loaded.refiner), weights(refiner))
    assert loaded.digest == load_checkpoint(good).digest

    def refused(path, match):
        with pytest.raises(AssetError, match=match):
            load_checkpoint(path)

    refused(tmp_path / "none.safetensors", "no such file")
    refused(tmp_path / "model.pth", "may run code when it is read, so it never is")
    (tmp_path / "text.safetensors").write_text("hello, this is no header")
    refused(tmp_path / "text.safetensors", "is not a readable .safetensors file")
    (tmp_path / "half.safetensors").write_bytes(good.read_bytes()[:-40])
    refused(tmp_path / "half.safetensors", "is not a readable .safetensors file")
    write_tensors(tmp_path / "other.safetensors", refiner.state_dict(), {"kind": "state"})
    refused(tmp_path / "other.safetensors", "was not written by this Facewright as a refiner")
    colour = Config.of("simgan-colour", ["blocks=1", "features=4"])
    save_checkpoint(tmp_path / "channels.safetensors", refiner, {"config": colour.to_data()})
    refused(tmp_path / "channels.safetensors", r"head.bias is \(1,\) and its model card means \(3,\)")
    save_checkpoint(tmp_path / "card.safetensors", refiner, {"config": {"preset": "simgan", "blocks": -1}})
    refused(tmp_path / "card.safetensors", "its model card cannot be used")
    refiner.head.bias.data.fill_(float("inf"))
    save_checkpoint(tmp_path / "inf.safetensors", refiner, {"config": config.to_data()})
    refused(tmp_path / "inf.safetensors", "not finite")


def test_a_folder_for_real_pictures_that_is_a_dataset_is_refused(tmp_path):
    (tmp_path / "dataset.json").write_text("{}")
    with pytest.raises(DatasetError, match="is a Facewright dataset"):
        read_real(tmp_path, Config())
