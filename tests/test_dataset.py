"""A dataset on disk: what is written is read back, what is damaged is found, what is foreign is refused."""

import errno
import gc
import io
import json
import os
import signal
import subprocess
import sys
import tarfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import facewright.dataset
from facewright import Recipe, sample
from facewright.dataset import claim, layout
from facewright.dataset.card import Card
from facewright.dataset.writer import Writer, open_for_writing, probe
from facewright.errors import DatasetError, FrameError, OutputError
from facewright.mock import MockRenderer
from facewright.render import LAYERS, Check

RECIPE = Recipe.load("face", ["image.width=64", "image.height=48"])
CARD = Card.of(RECIPE, 5).extended(0, 4)


def frame(index, recipe=RECIPE):
    with MockRenderer() as render:
        made = render(sample(recipe, 5, index), recipe.outputs)
    made.checks = [Check("pupil centre px", 0.125, 0.5)]
    return made


def fill(folder, indices=range(4), card=CARD):
    with open_for_writing(folder, card) as writer:
        for index in indices:
            writer.write(frame(index))
        return writer


def labels(folder):
    """Return everything of a dataset that must not depend on how it was made, by index."""
    dataset = facewright.dataset.open(folder)
    records = {index: dataset.record(index) for index in dataset.indices}
    return {
        index: json.dumps({key: record[key] for key in ("index", "schema", "sample", "truth", "layers")})
        for index, record in records.items()
    }


def test_what_is_written_is_read_back(tmp_path):
    fill(tmp_path / "d")
    dataset = facewright.dataset.open(tmp_path / "d")
    assert dataset.indices == (0, 1, 2, 3)
    assert len(dataset) == len(list(dataset)) == 4
    made, back = frame(2), dataset[2]
    assert back.sample == made.sample
    assert back.checks == made.checks
    assert json.dumps(back.truth.to_data()) == json.dumps(made.truth.to_data())
    assert list(back.layers) == [name for name in LAYERS if name in made.layers]
    for name, values in made.layers.items():
        assert back.layers[name].dtype == LAYERS[name].dtype
        expected = values.astype(np.float16) if name in layout.HALF_LAYERS else values
        np.testing.assert_array_equal(back.layers[name], expected.astype(values.dtype))


def test_a_dataset_is_a_sequence_of_some_layers(tmp_path):
    fill(tmp_path / "d", (1, 3))
    dataset = facewright.dataset.open(tmp_path / "d", layers=["seg"])
    assert list(dataset[0].layers) == ["seg"]
    assert dataset[-1].sample.index == 3
    assert [item.sample.index for item in dataset[1:]] == [3]
    with pytest.raises(IndexError):
        dataset[2]
    with pytest.raises(DatasetError, match="has no frame 2; it holds 2 frames from 1 to 3"):
        dataset.frame(2)
    with pytest.raises(DatasetError, match="unknown layer 'sge'"):
        facewright.dataset.open(tmp_path / "d", layers=["sge"])


def test_shards_hold_the_same_frames_under_the_same_names(tmp_path):
    fill(tmp_path / "loose")
    before = labels(tmp_path / "loose")
    names = sorted(path.name for path in (tmp_path / "loose/frames").iterdir())
    fill(tmp_path / "tar").pack()
    assert not list((tmp_path / "tar/frames").iterdir())
    (shard,) = (tmp_path / "tar/shards").iterdir()
    assert shard.name == "facewright-000000.tar"
    with tarfile.open(shard) as archive:
        members = archive.getmembers()
    assert [member.name for member in members] == names
    assert {member.mtime for member in members} == {0}
    assert labels(tmp_path / "tar") == before
    np.testing.assert_array_equal(facewright.dataset.open(tmp_path / "tar")[1].depth, frame(1).depth)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # webdataset leaves the file open
def test_webdataset_sees_a_shard_as_records(tmp_path):
    webdataset = pytest.importorskip("webdataset")
    fill(tmp_path / "d").pack()
    records = list(webdataset.WebDataset(str(tmp_path / "d/shards/facewright-000000.tar"), shardshuffle=False))
    gc.collect()
    assert [record["__key__"] for record in records] == ["000000", "000001", "000002", "000003"]
    assert {"rgb.png", "seg.png", "depth.exr", "json"} <= set(records[0])


def test_shards_may_be_packed_in_any_number_of_passes(tmp_path):
    card = Card(RECIPE.to_data(), RECIPE.digest, 5, ranges=((0, 7),), shard_records=3)
    frames = {index: frame(index) for index in range(7)}
    for name, passes in (("one", [range(7)]), ("many", [(6, 1), (0,), (2, 3, 4), (5,)])):
        for indices in passes:
            with open_for_writing(tmp_path / name, card) as writer:
                for index in indices:
                    writer.write(frames[index])
                    frames[index].seconds.clear()
                writer.pack()
    one, many = (
        [labels(tmp_path / name), sorted(path.name for path in (tmp_path / name / "shards").iterdir())]
        for name in ("one", "many")
    )
    assert one == many
    assert one[1] == [f"facewright-{number:06d}.tar" for number in range(3)]


@pytest.mark.parametrize("layer", ["rgb", "depth", "seg"])
@pytest.mark.parametrize("packed", [False, True])
def test_one_changed_byte_is_found(tmp_path, layer, packed):
    writer = fill(tmp_path / "d")
    name = layout.layer_file(1, layer)
    path, start = tmp_path / "d/frames" / name, 60
    if packed:
        writer.pack()
        path = tmp_path / "d/shards/facewright-000000.tar"
        with tarfile.open(path) as archive:
            start += archive.getmember(name).offset_data
    data = bytearray(path.read_bytes())
    data[start] ^= 1
    path.write_bytes(data)
    dataset = facewright.dataset.open(tmp_path / "d")
    assert dataset[0].rgb.shape == (48, 64, 3)
    with pytest.raises(DatasetError, match=rf"{name} is damaged .* run `facewright check .*d --repair`"):
        dataset[1]


def test_damage_of_any_kind_is_one_sentence(tmp_path):
    fill(tmp_path / "d")
    frames = tmp_path / "d/frames"
    (frames / "000000.seg.png").unlink()
    (frames / "000001.json").write_text('{"index": 1')
    (frames / "000002.json").write_text((frames / "000003.json").read_text())
    dataset = facewright.dataset.open(tmp_path / "d")
    for index, message in ((0, "it is missing"), (1, "000001.json is damaged"), (2, "it belongs to another frame")):
        with pytest.raises(DatasetError, match=message):
            dataset[index]
    shards = tmp_path / "d/shards"
    shards.mkdir()
    (shards / "facewright-000000.tar").write_bytes(b"not a tar file" * 100)
    with pytest.raises(DatasetError, match="is not a readable shard"):
        facewright.dataset.open(tmp_path / "d")


def test_what_is_no_dataset_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="is not a Facewright dataset"):
        facewright.dataset.open(tmp_path)
    for text in ("", "[]", "{}", '{"format": "other"}', '{"format": "facewright dataset 1", "count": 1, "x": 1}'):
        (tmp_path / "dataset.json").write_text(text)
        with pytest.raises(DatasetError, match="is not a readable dataset card"):
            facewright.dataset.open(tmp_path)


def test_a_folder_takes_one_recipe_and_one_seed(tmp_path):
    fill(tmp_path / "d", [0])
    fill(tmp_path / "d", [1])  # the same again continues
    other = Recipe.load("face", ["image.width=65"])
    for card, message in (
        (Card.of(other, 5), "another recipe"),
        (Card.of(RECIPE, 6), "another seed"),
        (Card.of(RECIPE, 5, "webcam"), "another refiner"),
    ):
        with pytest.raises(OutputError, match=message):
            probe(tmp_path / "d", card)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="is a file"):
        probe(tmp_path / "file", CARD)
    with pytest.raises(OutputError, match="is not empty and not a Facewright dataset"):
        probe(tmp_path, CARD)


def test_ranges_merge():
    card = Card.of(RECIPE, 0)
    for start, stop in ((10, 20), (0, 5), (5, 7), (18, 30), (40, 40)):
        card = card.extended(start, stop)
    assert card.ranges == ((0, 7), (10, 30))
    assert card.wanted == [*range(7), *range(10, 30)]


def test_one_coordinator_at_a_time_and_a_dead_one_is_replaced(tmp_path):
    fill(tmp_path / "d", [0])
    with (
        open_for_writing(tmp_path / "d", CARD),
        pytest.raises(OutputError, match=rf"process {os.getpid()} on .* join it"),
    ):
        fill(tmp_path / "d", [1])
    code = (
        f"import os; from pathlib import Path; from facewright.dataset import claim; "
        f"print(claim.acquire(Path({str(tmp_path / 'd/.lock')!r})), flush=True); os.kill(os.getpid(), 9)"
    )
    env = {"PYTHONPATH": os.pathsep.join(sys.path)}
    dead = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert dead.stdout.strip() == "True"
    assert (tmp_path / "d/.lock").exists()
    fill(tmp_path / "d", [1])
    assert not (tmp_path / "d/.lock").exists()


def test_a_claim_from_elsewhere_holds_until_its_lease_ends(tmp_path):
    path = tmp_path / "000001.json"
    path.write_text(json.dumps({"pid": 1, "host": "elsewhere", "birth": ""}))
    assert claim.is_live(path)
    assert not claim.acquire(path)
    os.utime(path, (0, 0))
    assert not claim.is_live(path)
    assert claim.acquire(path)
    assert claim.holder(path)["pid"] == os.getpid()


def test_a_claim_is_never_seen_without_its_holder(tmp_path, monkeypatch):
    """A worker killed while it claims must leave no claim that looks alive."""
    path, link, seen = tmp_path / "000001.json", os.link, []

    def killed_before(source, target):
        seen.append((json.loads(source.read_text())["pid"], target.exists()))
        link(source, target)

    monkeypatch.setattr(os, "link", killed_before)
    assert claim.acquire(path)
    assert seen == [(os.getpid(), False)]
    assert [item.name for item in tmp_path.iterdir()] == ["000001.json"]
    assert not claim.acquire(path)


@pytest.mark.parametrize("number", claim.NO_LINKS)
def test_claims_work_without_hard_links(tmp_path, monkeypatch, number):
    def refuse(source, target):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refuse)
    assert claim.acquire(tmp_path / "a.json")
    assert claim.holder(tmp_path / "a.json")["pid"] == os.getpid()
    assert not claim.acquire(tmp_path / "a.json")
    assert [item.name for item in tmp_path.iterdir()] == ["a.json"]


def test_leftovers_of_killed_runs_are_ignored_and_cleaned(tmp_path):
    writer = fill(tmp_path / "d", [0])
    frames = tmp_path / "d/frames"
    (frames / "000001.rgb.png").write_bytes(b"half")
    (frames / ".000001.seg.png.99.tmp").write_bytes(b"half")
    (frames / ".000002.seg.png.99.tmp").write_bytes(b"half")
    (frames / "notes.txt").write_text("mine")
    assert writer.claim(2)
    assert facewright.dataset.open(tmp_path / "d").indices == (0,)
    writer.clean()
    assert not (frames / ".000001.seg.png.99.tmp").exists()
    assert (frames / ".000002.seg.png.99.tmp").exists()  # somebody is writing it
    assert (frames / "notes.txt").exists()


def test_quarantine_keeps_what_there_was_and_success_lifts_it(tmp_path):
    writer = fill(tmp_path / "d", [0])
    bad = frame(2)
    bad.layers["seg"] = bad.layers["seg"].astype(float)  # cannot even be encoded
    writer.quarantine(2, "frame 2: pupil centre px is 3, limit 0.5", bad.sample.to_data(), bad)
    folder = tmp_path / "d/quarantine/000002"
    assert (folder / "error.txt").read_text().startswith("frame 2: pupil")
    assert json.loads((folder / "sample.json").read_text()) == bad.sample.to_data()
    assert (folder / "000002.rgb.png").exists()
    assert not (folder / "000002.seg.png").exists()
    assert writer.quarantined() == {2}
    writer.write(frame(2))
    assert writer.quarantined() == set()


def test_a_truth_that_is_not_finite_is_not_written(tmp_path):
    writer = fill(tmp_path / "d", [0])
    bad = frame(1)
    bad.truth.gaze_target_mm[0] = np.nan
    with pytest.raises(FrameError, match="frame 1: its truth holds a number that is not finite"):
        writer.write(bad)
    assert writer.done() == {0}


@pytest.mark.parametrize(
    ("number", "cure"),
    [
        (errno.ENOSPC, "the disk is full; free some space"),
        (errno.EROFS, "cannot be written"),
        (errno.EACCES, "choose another folder or change its permissions"),
        (errno.EIO, "check the disk"),
    ],
)
def test_a_disk_that_refuses_is_one_sentence_and_leaves_no_half_record(tmp_path, monkeypatch, number, cure):
    writer = fill(tmp_path / "d", [0])

    def refuse(handle):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OutputError, match=cure):
        writer.write(frame(1))
    with pytest.raises(OutputError, match=cure):
        writer.pack()
    monkeypatch.undo()
    assert not list((tmp_path / "d").glob("**/*.tmp"))
    assert writer.done() == {0}


@pytest.mark.parametrize("at", range(1, 21, 2))
def test_a_process_killed_at_any_write_continues_to_the_same_dataset(tmp_path, at):
    """The process dies at its n-th flush: within the card, a layer, a record, a shard."""
    code = f"""
import os, signal
from facewright.dataset import layout
calls, real = 0, os.fsync
def fsync(handle):
    global calls
    calls += 1
    if calls == {at}:
        os.kill(os.getpid(), signal.SIGKILL)
    real(handle)
os.fsync = fsync
from facewright import Recipe
from facewright.dataset.card import Card
from facewright.dataset.writer import open_for_writing
from facewright.mock import MockRenderer
from facewright.sample import sample
recipe = Recipe.load("face", ["image.width=64", "image.height=48"])
with open_for_writing(__import__("pathlib").Path({str(tmp_path / "d")!r}), Card.of(recipe, 5).extended(0, 4)) as writer:
    for index in range(1):
        writer.write(MockRenderer()(sample(recipe, 5, index), recipe.outputs))
    writer.pack()
"""
    path = {"PYTHONPATH": os.pathsep.join(sys.path)}  # and the rest: it chooses the kernels of linear algebra
    dead = subprocess.run([sys.executable, "-c", code], env=os.environ | path, check=False)
    assert dead.returncode in (-signal.SIGKILL, 0)
    with open_for_writing(tmp_path / "d", CARD) as writer:
        writer.clean()
        for index in set(range(4)) - writer.done():
            writer.write(frame(index))
        writer.pack()
    fill(tmp_path / "clean").pack()
    assert labels(tmp_path / "d") == labels(tmp_path / "clean")
    assert not list((tmp_path / "d").glob("**/*.tmp"))


@given(st.integers(1, 40), st.integers(1, 40), st.booleans(), st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_a_png_is_what_pillow_reads(height, width, colour, seed):
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3) if colour else (height, width), np.uint8)
    data = layout.encode_png(values)
    with Image.open(io.BytesIO(data)) as picture:
        picture.verify()
    np.testing.assert_array_equal(layout.decode_layer("rgb" if colour else "seg", data, "x.png"), values)
    assert layout.encode_png(values) == data
    np.testing.assert_array_equal(layout.decode_own_png(data, "x.png"), values)  # without pillow, as in Blender


@pytest.mark.parametrize(
    "harm", [lambda data: data[:30], lambda data: data[:-20], lambda data: data.replace(b"IDAT", b"IDOT")]
)
def test_a_damaged_png_is_told_without_pillow_too(harm):
    data = layout.encode_png(np.full((9, 7, 3), 40, np.uint8))
    with pytest.raises(DatasetError, match=r"x\.png: is not a readable PNG"):
        layout.decode_own_png(harm(data), "x.png")


def test_a_layer_of_the_wrong_shape_is_refused():
    for layer, values in (
        ("rgb", np.zeros((4, 4), np.uint8)),
        ("seg", np.zeros((4, 4, 3), np.uint8)),
        ("normal", np.zeros((4, 4, 2), np.float32)),
        ("rgb", np.zeros((4, 4, 3))),
    ):
        with pytest.raises(ValueError, match=r"shape|uint8"):
            layout.encode_layer(layer, values)


def test_colours_beyond_half_precision_are_clipped():
    values = np.full((2, 2, 3), 1e9, np.float32)
    back = layout.decode_layer("linear", layout.encode_layer("linear", values), "x")
    assert np.isfinite(back).all()


def test_a_writer_joins_only_what_exists(tmp_path):
    with pytest.raises(DatasetError, match="is not a Facewright dataset"):
        Writer.join(tmp_path)
