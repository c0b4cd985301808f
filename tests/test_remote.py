"""Datasets at a URL: what arrives is what one process makes here, whatever breaks on the way, and nothing is lost."""

import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest
import s3fs

import facewright.dataset
from facewright import Recipe, cli
from facewright.dataset import layout
from facewright.dataset.reader import located
from facewright.dataset.spool import Spool
from facewright.errors import OutputError
from facewright.farm.generate import Order, generate
from facewright.farm.worker import Station, work

SMALL = ("image.width=48", "image.height=48", "outputs=[seg]")
RECIPE = Recipe.load("face", SMALL)
MOCK = Station(renderer="mock")
WORDS = [*(word for change in SMALL for word in ("--set", change)), "--renderer", "mock", "--seed", "5"]
ANSWER_S = 30
KILLED = """
import os
from facewright.dataset.spool import Spool
real, files = Spool._send_file, []
def send(self, path):
    files.append(path)
    if len(files) == 10:
        os.kill(os.getpid(), 9)
    real(self, path)
Spool._send_file = send
from facewright.__main__ import run; run()
"""


@pytest.fixture(scope="module")
def server():
    """Run an S3 server on this machine; return its address."""
    with socket.socket() as free, pytest.MonkeyPatch.context() as patch:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + ANSWER_S
        while not _answers(port):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        address = f"http://127.0.0.1:{port}"
        for name, value in {
            "AWS_ENDPOINT_URL": address,
            "AWS_ACCESS_KEY_ID": "nobody",
            "AWS_SECRET_ACCESS_KEY": "nothing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_MAX_ATTEMPTS": "1",
        }.items():
            patch.setenv(name, value)
        yield address
        process.kill()
        process.wait()
        s3fs.S3FileSystem.clear_instance_cache()


def _answers(port):
    with socket.socket() as knock:
        return knock.connect_ex(("127.0.0.1", port)) == 0


def ask_for_names(server, after):
    """Make the server ask who one is, `after` so many requests."""
    kind = {"Content-Type": "text/plain"}
    urllib.request.urlopen(urllib.request.Request(f"{server}/moto-api/reset-auth", after, kind)).close()


@pytest.fixture
def bucket(server, tmp_path):
    """Return a store of its own and the name of an empty bucket."""
    store = s3fs.S3FileSystem(use_listings_cache=False)
    name = "b" + hashlib.sha256(str(tmp_path).encode()).hexdigest()[:12]
    store.mkdir(name)
    return store, name


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """Return file name -> digest of the frames that one process makes here, of a record without how it was made."""
    folder = tmp_path_factory.mktemp("reference")
    generate(Order(RECIPE, seed=5, count=4), folder, MOCK, 0, lambda event: None)
    assert work(folder, MOCK, lambda event: None)
    return content(folder)


def content(folder):
    """Return index -> (record but for how it was made, layer -> bytes) of a dataset, wherever it lies."""
    dataset = facewright.dataset.open(folder)
    return {
        index: (
            {key: value for key, value in dataset.record(index).items() if key != "made"},
            {name: dataset.layer_bytes(index, name) for name in dataset.record(index)["layers"]},
        )
        for index in dataset.indices
    }


def run(*words):
    return cli.main(list(map(str, words)))


def mistake(capsys, *words):
    """Return the one sentence of a command that ends with code 2."""
    capsys.readouterr()
    assert run(*words) == 2
    told = capsys.readouterr().err
    sentence = [line for line in told.splitlines() if line.startswith("facewright: ")]
    assert len(sentence) == 1
    assert "Traceback" not in told
    return sentence[0]


def test_an_upload_killed_half_way_is_finished_by_the_same_command(bucket, tmp_path, reference):
    store, name = bucket
    url = f"s3://{name}/some/where"
    words = ["generate", "face", "-o", url, "--spool", str(tmp_path / "spool"), "--count", "4", *WORDS]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.run([sys.executable, "-c", KILLED, *words], env=env, stderr=subprocess.DEVNULL, check=False)
    assert process.returncode == -signal.SIGKILL
    assert store.glob(f"{name}/some/where/frames/*")
    there = content(url)
    assert len(there) < 4
    assert there == {index: reference[index] for index in there}
    assert run(*words) == 0
    assert content(url) == reference
    assert not list((tmp_path / "spool/frames").iterdir())
    assert run("check", url) == 0


def test_shards_grow_at_the_url(bucket, tmp_path, reference):
    store, name = bucket
    url = f"s3://{name}"
    for count, spool in ((3, "one"), (4, "another machine's")):
        assert run("generate", "face", "-o", url, "--spool", tmp_path / spool, "--count", count, "--tar", *WORDS) == 0
    assert store.ls(f"{name}/shards", detail=False) == [f"{name}/shards/facewright-000000.tar"]
    assert not store.glob(f"{name}/frames/*")
    assert content(url) == reference
    assert facewright.dataset.open(url).card.ranges == ((0, 4),)


def test_what_lies_there_is_not_rendered_again(bucket, tmp_path, capsys):
    url = f"s3://{bucket[1]}/d"
    run("generate", "face", "-o", url, "--spool", tmp_path / "one", "--count", 2, *WORDS)
    assert run("generate", "face", "-o", url, "--spool", tmp_path / "two", "--count", 3, "--dry-run", *WORDS) == 0
    assert capsys.readouterr().out.startswith("would render 1 of 3 frames")
    assert "another seed" in mistake(
        capsys, "generate", "face", "-o", url, "--spool", tmp_path / "two", *WORDS[:-1], 6, "--renderer", "mock"
    )


def test_corruption_in_the_bucket_is_found(bucket, tmp_path, capsys):
    store, name = bucket
    url = f"s3://{name}/d"
    run("generate", "face", "-o", url, "--spool", tmp_path / "spool", "--count", 2, *WORDS)
    seg = f"{name}/d/frames/000001.seg.png"
    data = store.cat_file(seg)
    store.pipe_file(seg, data[:60] + bytes([data[60] ^ 1]) + data[61:])
    assert run("check", url) == 1
    assert "000001.seg.png is damaged (its content is not what was written)" in capsys.readouterr().err
    store.rm(f"{name}/d/frames/000000.json")
    assert run("check", url) == 1
    assert "1 wanted frames are missing" in capsys.readouterr().err
    assert "copy the dataset to a folder" in mistake(capsys, "check", url, "--repair")


def test_a_store_that_goes_away_costs_no_frame(bucket, tmp_path, reference):
    store, name = bucket
    spool = tmp_path / "spool"

    def burn(event):
        if event["event"] == "frame" and store.exists(name):
            store.rm(name, recursive=True)

    order = Order(RECIPE, seed=5, count=4)
    with pytest.raises(OutputError, match=r"s3://.*create the bucket.*what is rendered waits in"):
        generate(order, spool, MOCK, 1, burn, url=f"s3://{name}/d")
    assert content(spool) == reference
    store.mkdir(name)
    events = []
    assert generate(order, spool, MOCK, 1, events.append, url=f"s3://{name}/d") == 0
    assert events[-1]["made"] == 0
    assert content(f"s3://{name}/d") == reference


def test_what_changes_on_the_way_is_not_taken_for_sent(bucket, tmp_path, monkeypatch):
    store, name = bucket
    put = s3fs.S3FileSystem._put_file

    async def garble(self, local, remote, **options):
        await put(self, local, remote, **options)
        if remote.endswith(".rgb.png"):
            await self._pipe_file(remote, b"\0" * os.path.getsize(local))  # noqa: PTH202

    monkeypatch.setattr(s3fs.S3FileSystem, "_put_file", garble)
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(OutputError, match="is not what was sent"):
        generate(Order(RECIPE, count=1), tmp_path, MOCK, 1, lambda event: None, url=f"s3://{name}")
    assert (tmp_path / "frames/000000.json").exists()
    assert not store.exists(f"{name}/frames/000000.json"), "a record that exists is whole"
    s3fs.S3FileSystem.clear_instance_cache()


def test_large_files_go_in_parts_and_are_compared(bucket, tmp_path):
    store, name = bucket
    generate(Order(RECIPE, count=1), tmp_path, MOCK, 0, lambda event: None)
    large = tmp_path / layout.SHARDS / "facewright-000000.tar"
    large.parent.mkdir()
    large.touch()
    os.truncate(large, 110 << 20)
    writer = facewright.dataset.writer.Writer.join(tmp_path)
    Spool(tmp_path, writer.card, located(f"s3://{name}/d"), set())._send_file(large)
    info = store.info(f"{name}/d/shards/facewright-000000.tar")
    assert info["size"] == 110 << 20
    assert "-" in info["ETag"], "an upload in parts"


def test_no_bucket_no_rights_no_network_no_package(bucket, server, tmp_path, capsys, monkeypatch):
    _, name = bucket

    def fails(url):
        told = mistake(capsys, "generate", "face", "-o", url, "--spool", tmp_path / "s", "--count", 1, *WORDS)
        assert not (tmp_path / "s/frames").exists() or not list((tmp_path / "s/frames").iterdir())
        return told

    assert "create the bucket" in fails("s3://nowhere-at-all/d")
    assert "no package that is installed reads it" in fails("mars://here/d")
    assert "--spool" in mistake(capsys, "generate", "face", "-o", tmp_path / "d", "--spool", tmp_path / "s")
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "upath", None)
        assert "pip install universal-pathlib fsspec s3fs" in fails(f"s3://{name}/d")
    ask_for_names(server, b"0")
    try:
        assert "check the credentials" in fails(f"s3://{name}/d")
    finally:
        ask_for_names(server, b"1000000")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    s3fs.S3FileSystem.clear_instance_cache()
    try:
        assert "check the address" in fails(f"s3://{name}/d")
        assert "check the address" in mistake(capsys, "check", f"s3://{name}/d")
    finally:
        s3fs.S3FileSystem.clear_instance_cache()
