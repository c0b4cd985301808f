"""Many machines: whatever dies on the way, a cluster makes the dataset that one process makes."""

import dataclasses
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
import ray as real_ray
from ray.cluster_utils import Cluster
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from facewright import Recipe, cli
from facewright.dataset import layout
from facewright.dataset.writer import Writer
from facewright.errors import UserError
from facewright.farm import actors, local, ray, refinery
from facewright.farm.generate import Order, generate
from facewright.farm.worker import Station, work

SMALL = ("image.width=48", "image.height=48")
RECIPE = Recipe.load("face", [*SMALL, "frames_per_subject=3"])
TORCH = None if importlib.util.find_spec("torch") else os.environ.get("FACEWRIGHT_TORCH_PYTHON")
MOCK = Station(renderer="mock", refiner_python=TORCH)
FRAMES = 9
STORE = 80_000_000  # bytes, the least that Ray takes


@pytest.fixture(scope="module")
def cluster():
    """A cluster of one node with two processors; its files are in a folder of their own."""
    with tempfile.TemporaryDirectory(prefix="fw") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TMPDIR", folder)  # a socket's path may have 107 characters: pytest's folders are too deep
        (Path(folder) / "ray").mkdir()
        cluster = Cluster(True, head_node_args=dict(num_cpus=2, include_dashboard=False, object_store_memory=STORE))
        try:
            yield cluster
        finally:
            cluster.shutdown()
        assert not _descendants(os.getpid(), "raylet")


@pytest.fixture
def fleet(cluster):
    with ray.connect(cluster.address) as fleet:
        yield fleet


@pytest.fixture
def second(cluster):
    """Return a function that adds a node of so many processors; it is gone after the test, as the next expects."""
    nodes = []

    def add(num_cpus):
        nodes.append(cluster.add_node(num_cpus=num_cpus, object_store_memory=STORE))
        return nodes[-1]

    yield add
    for node in nodes:
        if node in cluster.worker_nodes:
            cluster.remove_node(node, allow_graceful=False)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """Return what one process makes of the frames."""
    folder = tmp_path_factory.mktemp("reference")
    generate(Order(RECIPE, seed=5, count=FRAMES), folder, MOCK, 0, lambda event: None)
    assert work(folder, MOCK, lambda event: None)
    return content(folder)


def content(folder):
    """Return file name -> bytes of all frames; of a record all but how it was made."""
    found = {path.name: path.read_bytes() for path in (folder / "frames").iterdir()}
    for name in found:
        if name.endswith(".json"):
            found[name] = json.dumps({k: v for k, v in layout.unseal(found[name]).items() if k != "made"})
    return found


def first(files, count):
    """Return the files of the first frames."""
    return {name: data for name, data in files.items() if int(name.partition(".")[0]) < count}


def make(fleet, folder, count=FRAMES, workers=2, station=MOCK, emit=lambda event: None, refine="none", recipe=RECIPE):
    events = []

    def hear(event):
        events.append(event)
        emit(event)

    order = Order(recipe, seed=5, count=count, refine=refine)
    return generate(order, folder, station, workers, hear, fleet.run), events


def named(events, kind):
    return [event for event in events if event["event"] == kind]


def deaths(events):
    """Return the warnings but for the one of a slow machine, that no actor has come yet."""
    messages = [event["message"] for event in named(events, "warning")]
    return [message for message in messages if not message.startswith("no actor has started")]


def _descendants(pid, name):
    """Return the processes below `pid` whose command line begins with, or runs, `name`."""
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, path.read_text().split()):
            try:
                words = Path(f"/proc/{child}/cmdline").read_bytes().decode().partition("\0")[0]
            except OSError:
                continue
            found += [child] * (words.startswith(name) or words.endswith(name)) + _descendants(child, name)
    return found


def test_killed_actors_and_a_lost_node_cost_nothing_but_time(fleet, cluster, second, tmp_path, reference, monkeypatch):
    class Unhurried(ray.RenderActor):
        def render(self, index):
            time.sleep(0.2)
            return super().render(index)

    monkeypatch.setattr(ray, "RenderActor", Unhurried)
    node = second(2)
    frames, (raylet,) = [], node.all_processes["raylet"]

    def disturb(event):
        if event["event"] != "frame":
            return
        frames.append(event)
        if len(frames) in (2, 7):
            os.kill(_descendants(os.getpid(), "ray::Unhurried")[0], signal.SIGKILL)
        elif len(frames) == 4:
            deadline = time.monotonic() + 20
            while not _descendants(raylet.process.pid, "ray::Unhurried"):
                assert time.monotonic() < deadline, "the second node got no work"
                time.sleep(0.1)
            cluster.remove_node(node, allow_graceful=False)

    failed, events = make(fleet, tmp_path, workers=3, emit=disturb)
    assert failed == 0
    assert content(tmp_path) == reference
    assert sum(text.startswith("an actor died at frame") for text in deaths(events)) >= 1
    assert not list((tmp_path / "claims").iterdir())
    assert not list(tmp_path.glob("**/*.tmp"))


def test_without_a_shared_folder_frames_travel_and_worn_actors_are_given_back(fleet, tmp_path, reference, monkeypatch):
    monkeypatch.setattr(actors, "mark", lambda folder: {"pid": 1, "host": "another"})
    monkeypatch.setattr(local, "RECYCLE_FRAMES", 3)
    writers, put = Counter(), Writer.put
    monkeypatch.setattr(Writer, "put", lambda self, *record: (writers.update(["driver"]), put(self, *record))[1])
    failed, events = make(fleet, tmp_path, count=6, workers=1)
    assert failed == 0
    assert writers["driver"] == 6, "no frame is rendered twice, none written there"
    assert len(named(events, "worker")) == 2
    assert content(tmp_path) == first(reference, 6)
    deadline = time.monotonic() + 10
    while real_ray.available_resources().get("CPU") != 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert real_ray.available_resources()["CPU"] == 2


def test_a_frame_that_kills_two_actors_is_set_apart_and_a_failure_travels(fleet, tmp_path, monkeypatch, reference):
    class Deadly(ray.RenderActor):
        def render(self, index):
            if index == 4:
                os._exit(1)
            if index == 1:
                self.make = None
            return super().render(index)

    monkeypatch.setattr(ray, "RenderActor", Deadly)
    monkeypatch.setattr(actors, "mark", lambda folder: {})
    failed, _ = make(fleet, tmp_path, count=5, workers=1)
    assert failed >= 2
    assert "frame 4 killed 2 actors" in (tmp_path / "quarantine/000004/error.txt").read_text()
    assert "NoneType" in (tmp_path / "quarantine/000001/error.txt").read_text()
    assert json.loads((tmp_path / "quarantine/000004/sample.json").read_text())["index"] == 4
    found = content(tmp_path)
    assert "000000.json" in found
    assert found == {name: reference[name] for name in found}


def test_a_hanging_actor_is_replaced(fleet, tmp_path, monkeypatch, reference):
    class Slow(ray.RenderActor):
        def render(self, index):
            flag = self.job.folder / "logs" / "hung"
            if index == 1 and not flag.exists():
                flag.touch()
                time.sleep(600)
            return super().render(index)

    monkeypatch.setattr(ray, "RenderActor", Slow)
    failed, events = make(fleet, tmp_path, count=2, workers=1, station=Station(renderer="mock", timeout=15))
    assert failed == 0
    assert deaths(events)[0].startswith("an actor died at frame 1")
    assert content(tmp_path) == first(reference, 2)


@pytest.fixture(scope="module")
def refined(tmp_path_factory):
    """Return what one process makes of the frames when it refines them."""
    folder = tmp_path_factory.mktemp("refined")
    generate(Order(RECIPE, seed=5, count=FRAMES, refine="webcam"), folder, MOCK, 0, lambda event: None)
    assert work(folder, MOCK, lambda event: None)
    return content(folder)


@pytest.mark.parametrize("shared", [True, False], ids=["folder", "store"])
def test_refine_actors_refine_in_batches_what_others_render(fleet, tmp_path, monkeypatch, refined, shared):
    class Counting(actors.RefineActor):
        def refine(self, *frames):
            time.sleep(1)  # so that more than one is waiting
            return [(event | {"memory_mb": len(frames)}, parcel) for event, parcel in super().refine(*frames)]

    monkeypatch.setattr(refinery, "RefineActor", Counting)
    if not shared:
        monkeypatch.setattr(actors, "mark", lambda folder: {})
    failed, events = make(dataclasses.replace(fleet, refiners=1), tmp_path, workers=1, refine="webcam")
    assert failed == 0
    assert content(tmp_path) == refined
    assert max(event["memory_mb"] for event in named(events, "frame")) > 1
    made = [event["about"] for event in named(events, "worker")]
    assert sorted("refiner" in about for about in made) == [False, True]
    record = layout.unseal((tmp_path / "frames/000000.json").read_bytes())
    assert record["made"]["about"]["refiner"]["name"] == "webcam"
    assert record["made"]["about"]["renderer"] == "mock"
    assert not list((tmp_path / "claims").iterdir())


def test_a_frame_that_kills_refine_actors_is_set_apart_and_its_neighbours_are_not(
    fleet, tmp_path, monkeypatch, refined
):
    class Deadly(actors.RefineActor):
        def refine(self, *frames):
            if any(frame.sample.index == 4 for frame in frames):
                os._exit(1)
            time.sleep(1)
            return super().refine(*frames)

    monkeypatch.setattr(refinery, "RefineActor", Deadly)
    failed, events = make(dataclasses.replace(fleet, refiners=1), tmp_path, workers=1, refine="webcam")
    assert failed == 1
    assert "frame 4 killed 2 actors" in (tmp_path / "quarantine/000004/error.txt").read_text()
    found = content(tmp_path)
    assert found == {name: data for name, data in refined.items() if not name.startswith("000004")}
    assert deaths(events)[0].startswith("a refine actor died")
    assert not list((tmp_path / "claims").iterdir())


def test_rendered_frames_that_are_lost_with_their_node_are_rendered_anew(fleet, cluster, second, tmp_path, monkeypatch):
    count = 24

    class Noting(ray.RenderActor):
        def render(self, index):
            answer = super().render(index)
            (self.job.folder / "logs" / f"rendered-{index}").touch()
            return answer

    class Waiting(actors.RefineActor):
        def refine(self, *frames):
            deadline = time.monotonic() + 60
            while len(list(self.job.folder.glob("logs/rendered-*"))) < count and time.monotonic() < deadline:
                time.sleep(0.1)
            return super().refine(*frames)

    class AtHome(refinery.Refinery):
        def __init__(self, *args):
            super().__init__(*args)
            self.wish |= {"scheduling_strategy": NodeAffinitySchedulingStrategy(cluster.head_node.node_id, soft=False)}

    node = second(4)
    there = {"scheduling_strategy": NodeAffinitySchedulingStrategy(node.node_id, soft=True)}  # while it lives
    wish = ray._wish
    monkeypatch.setattr(ray, "_wish", lambda station: wish(station) | there)
    monkeypatch.setattr(ray, "RenderActor", Noting)
    monkeypatch.setattr(ray, "Refinery", AtHome)
    monkeypatch.setattr(refinery, "RefineActor", Waiting)
    recipe = Recipe.load("face", ["image.width=160", "image.height=160"])  # large enough to lie in a node's store
    frames = []

    def disturb(event):
        if event["event"] == "frame":
            frames.append(event)
            if len(frames) == 1:  # all have been rendered, and no more than two batches can have left the node
                cluster.remove_node(node, allow_graceful=False)

    failed, events = make(dataclasses.replace(fleet, refiners=1), tmp_path, count, 2, MOCK, disturb, "webcam", recipe)
    assert failed == 0
    assert sum("held rendered frames was lost" in event["message"] for event in named(events, "warning"))
    assert len(frames) == count
    assert not list((tmp_path / "claims").iterdir())


def test_refine_actors_without_work_are_given_back_but_for_the_last(fleet, tmp_path, monkeypatch):
    """Twenty frames wait and want three actors; when all are refined, one stays for those that may come."""
    monkeypatch.setattr(refinery, "IDLE_S", 1.0)
    generate(Order(RECIPE, seed=5, count=1, refine="webcam"), tmp_path, MOCK, 0, lambda event: None)
    writer = Writer.join(tmp_path)
    crew = refinery.Refinery(fleet.ray, actors.Job.of(writer, RECIPE, MOCK), 3)
    crew.wish["num_cpus"] = 0
    crew.waiting.extend(refinery.Raw(index, {}, None) for index in range(20))
    crew.hire()
    hired = list(crew.refiners)
    assert len(hired) == 3
    crew.waiting.clear()
    deadline = time.monotonic() + 60
    while not all(refiner.node for refiner in hired):
        assert time.monotonic() < deadline
        for refiner in hired:
            if not refiner.node:
                refiner.node = fleet.ray.get(refiner.asked.popleft()[0])[1]
                refiner.heard = time.monotonic()
    crew.hire()
    assert len(crew.refiners) == 3, "none has been idle for long"
    time.sleep(1.1)
    crew.hire()
    (last,) = crew.refiners
    for gone in set(hired) - {last}:
        with pytest.raises(fleet.ray.exceptions.ActorDiedError):
            fleet.ray.get(gone.actor.open.remote())
    crew.dismiss(last)


@pytest.mark.parametrize("words", [[], ["--refine", "webcam"], ["--ray", "local"]])
def test_refine_actors_are_for_a_cluster_that_refines(tmp_path, capsys, words):
    folder = tmp_path / "d"
    assert cli.main(["generate", "face", "-o", str(folder), "--renderer", "mock", "--refiners", "2", *words]) == 2
    assert "--refiners 2: are actors of --ray for --refine" in capsys.readouterr().err.splitlines()[-1]
    assert not folder.exists()


def test_what_refine_actors_lack_is_one_sentence(fleet, tmp_path, monkeypatch):
    monkeypatch.setattr(ray, "LONELY_S", 60.0)
    with pytest.raises(UserError, match=r"node .*nowhere\.safetensors: no such file"):
        make(dataclasses.replace(fleet, refiners=1), tmp_path, refine=str(tmp_path / "nowhere.safetensors"))


def test_a_wish_that_no_node_grants_is_said_and_stopped(fleet, tmp_path, monkeypatch):
    monkeypatch.setattr(ray, "LONELY_S", 1.0)

    def stop(event):
        if event["event"] == "warning":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(fleet, tmp_path, station=Station(renderer="mock", threads=64), emit=stop)
    assert fleet.places(Station(threads=64)) == 1
    assert fleet.places(MOCK) == 2


@pytest.mark.parametrize("what", ["samples", "folder", "start"])
def test_what_a_node_lacks_is_one_sentence(fleet, tmp_path, monkeypatch, what):
    recipe, expected = RECIPE, "draws other samples than the one here"
    if what == "samples":
        monkeypatch.setattr(actors, "probe", lambda recipe, seed: "another")
    elif what == "folder":
        (tmp_path / "hdri").mkdir()
        (tmp_path / "hdri/sky.hdr").write_bytes(b"")
        recipe, expected = Recipe.load("face", [*SMALL, f"hdri_folder={tmp_path / 'hdri'}"]), "node .*hdri"
        (tmp_path / "hdri/sky.hdr").unlink()
        (tmp_path / "hdri").rmdir()
    else:

        class Stillborn(ray.RenderActor):
            def open(self):
                os._exit(3)

        monkeypatch.setattr(ray, "RenderActor", Stillborn)
        expected = "die while they start"
    with pytest.raises(UserError, match=expected):
        generate(Order(recipe, count=2), tmp_path / "d", MOCK, 1, lambda event: None, fleet.run)


def test_clusters_that_cannot_be_joined(cluster, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(real_ray, "__version__", "2.0.0")
        with pytest.raises(UserError, match="use the same Ray and Python"), ray.connect(cluster.address):
            pass
    for address, what in (("127.0.0.1:1", "no cluster answers there"), ("mars", "expected local, auto")):
        with pytest.raises(UserError, match=what), ray.connect(address):
            pass
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "ray", None)
        with pytest.raises(UserError, match="--ray needs the package ray"), ray.connect("local"):
            pass


@pytest.mark.parametrize("words", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"], ids=["silent", "a web server"])
def test_a_port_that_is_no_cluster_is_one_sentence_at_once(tmp_path, monkeypatch, capsys, words):
    monkeypatch.setattr(ray, "REACH_S", 1.0)

    def answer(server):
        caller, _ = server.accept()
        with caller:
            caller.sendall(words)
            caller.recv(100)

    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        if words:
            threading.Thread(target=answer, args=(server,), daemon=True).start()
        code = cli.main(["generate", "face", "-o", str(tmp_path / "d"), "--renderer", "mock", "--ray", address])
    assert code == 2
    assert f"--ray {address}: what listens there is no Ray cluster" in capsys.readouterr().err.splitlines()[-1]


def test_the_command_with_a_cluster_of_its_own_leaves_nothing_behind(tmp_path, reference):
    words = ["generate", "face", "-o", str(tmp_path / "d"), "--count", "2", "--seed", "5", "--renderer", "mock"]
    words += ["--ray", "local", "--workers", "1"]
    for change in (*SMALL, "frames_per_subject=3"):
        words += ["--set", change]
    with tempfile.TemporaryDirectory(prefix="fw") as folder:
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": folder}
        code = "from facewright.__main__ import run; run()"
        run = subprocess.run([sys.executable, "-c", code, *words], env=env, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
        assert run.stdout == ""
        assert run.stderr.splitlines()[0].endswith(f"2 frames in {tmp_path / 'd'}")
        assert not list(Path(folder).iterdir())
    assert content(tmp_path / "d") == first(reference, 2)


def test_tasks_of_an_array_share_a_folder_without_doubling(tmp_path, reference):
    """What the array script in docs/scale.md runs: workers that know nothing but the folder."""
    generate(Order(RECIPE, seed=5, count=FRAMES), tmp_path, MOCK, 0, lambda event: None)
    code = "from facewright.__main__ import run; run()"
    words = [sys.executable, "-c", code, "worker", str(tmp_path), "--renderer", "mock", "--json-events"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    tasks = [subprocess.Popen(words, env=env, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    told = [json.loads(line) for task in tasks for line in task.communicate()[0].splitlines()]
    assert [task.returncode for task in tasks] == [0, 0, 0]
    assert sorted(event["index"] for event in named(told, "frame")) == list(range(FRAMES))
    assert content(tmp_path) == reference
