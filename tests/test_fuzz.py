"""Whatever is fed to it, it works or says one sentence: no traceback, no hang, nothing written elsewhere."""

import ast
import contextlib
import copy
import io
import json
import math
import os
import resource
import shutil
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import facewright
import facewright.dataset
from facewright import Recipe, cli, sample
from facewright.dataset import layout
from facewright.errors import UserError
from facewright.recipe import builtin_recipes
from facewright.sample import Sample, parameters

HOUSE = Path(facewright.__file__).parent
ROOT = HOUSE.parents[1]
TINY = ["image.width=24", "image.height=24", "outputs=[seg]", "frames_per_subject=8"]
RELAXED = dict(deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)

PATHS = list(parameters())
ODD_NUMBERS = [math.nan, math.inf, -math.inf, 1e308, -1e308, 1e-320, 2**63, -(2**63), 10**400, -1, 0, 0.5, -0.0]
ODD_WORDS = [
    *(
        "",
        " ",
        "auto",
        "none",
        "null",
        "true",
        "../..",
        "/etc/passwd",
        "/dev/zero",
        "CON",
        "a" * 70_000,
        "\x00",
        "\ud800",
    ),
    *("🙂", "é", "..", "~", "$HOME", "%s%n", "{}", "{{7*7}}", "<script>", "face", "-", "--help", "1e999", "uniform"),
]
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(ODD_NUMBERS),
    st.sampled_from(ODD_WORDS),
)
NAMES = st.sampled_from(["uniform", "log_uniform", "normal", "choice", "empirical", "values", "weights", "mean", "sd"])
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(NAMES | st.text(max_size=5), inner, max_size=3)
        | st.fixed_dictionaries({"choice": st.lists(inner, max_size=3)})
        | st.fixed_dictionaries({"uniform": st.lists(LEAVES, min_size=2, max_size=2)})
    ),
    max_leaves=8,
)


def run(*arguments):
    """Return exit code and stderr of the command line, which must be quiet about everything but the mistake."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.main([str(argument) for argument in arguments])
    said = err.getvalue()
    assert "Traceback" not in said, said
    assert code in (0, 1, 2), said
    if code == 2:
        assert said.splitlines()[-1].startswith("facewright"), said
    return code, said


def understood(make):
    """Return what `make` returns, or None where it says in one sentence why not."""
    with contextlib.suppress(UserError):
        return make()
    return None


def listing(folder):
    return sorted((str(path), path.lstat().st_size) for path in folder.rglob("*") if path.is_file())


@pytest.fixture(scope="module", autouse=True)
def memory():
    """Let nothing grow beyond 4 GB more than there is: a bomb is an error, not a slow machine."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * os.sysconf("SC_PAGE_SIZE") + (4 << 30), hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


BUILTIN = [(HOUSE / "recipes" / f"{name}.yaml").read_bytes() for name in builtin_recipes()]
PIECES = st.sampled_from(
    [
        *(
            b"{",
            b"}",
            b"[",
            b"]",
            b":",
            b"- ",
            b"? ",
            b"| ",
            b"> ",
            b"#",
            b"'",
            b'"',
            b"~",
            b"=",
            b"_",
            b"\n",
            b"  ",
            b"\t",
        ),
        *(b"&a ", b"*a", b"<<: ", b"!!", b"!!python/object:os.system ", b"%YAML 9\n", b"---\n", b"...\n", b"\\x"),
        *(b"\x00", b"\xff\xfe", b"\xc3", b"\xe2\x80\xa8", b"0x", b"1:2:3", b"2001-13-45", b"yes", b"1e999", b".nan"),
        *(b"-.inf", b"9" * 5000),
    ]
)


@given(st.data())
@settings(max_examples=700, **RELAXED)
def test_a_recipe_with_pieces_cut_out_and_put_in_is_understood_or_refused(tmp_path_factory, data):
    text = bytearray(data.draw(st.sampled_from(BUILTIN)))
    for _ in range(data.draw(st.integers(1, 4))):
        at, size = data.draw(st.integers(0, len(text))), data.draw(st.integers(0, 12))
        text[at : at + size] = data.draw(PIECES | st.binary(max_size=4))
    path = tmp_path_factory.getbasetemp() / data.draw(st.sampled_from(["fuzz.yaml", "fuzz.json"]))
    path.write_bytes(text)
    understood(lambda: Recipe.load(path))


@given(
    st.dictionaries(
        st.sampled_from(
            [*PATHS, "name", "scene", "outputs", "frames_per_subject", "joint", "sampling", "x", "subject"]
        ),
        TREES,
        min_size=1,
        max_size=3,
    ),
    st.sampled_from([0, 1, 2**63]),
)
@settings(max_examples=700, **RELAXED)
def test_a_recipe_of_any_values_is_refused_or_draws_samples_that_are_in_range(values, seed):
    recipe = understood(lambda: Recipe.from_data(_tree(values)))
    if recipe:
        drawn = understood(lambda: sample(recipe, seed, 10**8))
        assert drawn is None or Sample.from_data(json.loads(layout.dump(drawn.to_data()))) == drawn
        assert Recipe.from_data(json.loads(layout.dump(recipe.to_data()))).digest == recipe.digest


def _tree(values):
    data = {}
    for path, value in values.items():
        *folders, leaf = path.split(".")
        node = data
        for folder in folders:
            node = node.setdefault(folder, {}) if isinstance(node.get(folder, {}), dict) else {}
        node[leaf] = value
    return data


@given(st.text(max_size=20) | st.builds("{}={}".format, st.sampled_from([*PATHS, "name", "x.y"]), st.text(max_size=30)))
@example("subject.eye.pupil_mm={uniform: [.nan, 3]}")
@example("gaze.yaw_deg={choice: [[[]]]}")
@example("joint=[{fields: [gaze.yaw_deg], rows: [[" + "9" * 5000 + "]]}]")
@example("extends=../../../../etc/passwd")
@example("hdri_folder=" + "a/" * 3000)
@example("head_folder=\0")
@example("name.x=1")
@settings(max_examples=320, **RELAXED)
def test_any_set_is_understood_or_refused(change):
    understood(lambda: Recipe.load("face", [change]))


NUMBERS = st.one_of(
    st.integers().map(str),
    st.integers(-(10**30), 10**30).map(str),
    st.sampled_from(["", "-0", "+5", "1e3", "0x10", "١٢", "1_000", " 7 ", "nan", "9" * 5000, "--", "1.5"]),
)


@given(
    st.sampled_from(["--count", "--start", "--seed", "--workers", "--threads", "--timeout"]),
    NUMBERS,
    st.sampled_from(["generate", "preview", "worker"]),
)
@settings(max_examples=100, **RELAXED)
def test_any_number_is_understood_or_refused(tmp_path_factory, option, number, command):
    place = tmp_path_factory.getbasetemp() / "numbers"
    words = {"generate": ["face", "-o", place, "--dry-run"], "preview": ["none"], "worker": [place]}[command]
    run(command, *words, f"{option}={number}")
    assert not place.exists()


DRAWN = sample(Recipe.load("face", TINY), 5, 0).to_data()


def _spots(node, place=()):
    yield place
    if isinstance(node, dict | list):
        for key, item in node.items() if isinstance(node, dict) else enumerate(node):
            yield from _spots(item, (*place, key))


def _changed(data, draw, values):
    """Return a copy of `data` with one place of it drawn anew, taken out or doubled."""
    data = copy.deepcopy(data)
    spot = draw(st.sampled_from([place for place in _spots(data) if place]))
    node = data
    for key in spot[:-1]:
        node = node[key]
    how = draw(st.sampled_from(["new", "new", "gone", "more"]))
    if how == "gone":
        del node[spot[-1]]
    elif how == "more" and isinstance(node, dict):
        node[draw(st.text(max_size=6))] = draw(values)
    else:
        node[spot[-1]] = draw(values)
    return data


@given(st.data())
@settings(max_examples=300, **RELAXED)
def test_any_sample_is_understood_or_refused(data):
    changed = _changed(DRAWN, data.draw, TREES)
    known = understood(lambda: Sample.from_data(changed))
    assert known is None or Sample.from_data(json.loads(layout.dump(known.to_data()))) == known


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Return a dataset of two frames of a face, beside a file that is not ours."""
    place = tmp_path_factory.mktemp("data")
    (place / "mine.txt").write_text("mine")
    settings = [word for setting in TINY for word in ("--set", setting)]
    assert run("generate", "face", "-o", place / "d", "--count", 2, "--renderer", "mock", *settings)[0] == 0
    return place / "d"


HOSTILE = [
    "../../evil",
    "/tmp/evil",
    "..",
    "000000./../../evil",
    "CON",
    "000000.rgb.png/..",
    "\0",
    "a" * 300,
    "",
    "/dev/zero",
]


def _used(folder, what, form):
    """Run a command that reads a dataset; nothing may appear outside of its own output. Return its exit code."""
    place = folder.parent
    before = listing(place)
    if what == "export":
        code, _ = run("export", folder, "--as", form, "-o", place / "out")
        shutil.rmtree(place / "out", ignore_errors=True)
    elif what == "report":
        code, _ = run("report", folder, "-o", place / "out.html")
        (place / "out.html").unlink(missing_ok=True)
    else:
        code, _ = run("check", folder)
    assert listing(place) == before
    return code


COMMANDS = st.sampled_from(["check", "check", "export", "export", "report"])
FORMS = st.sampled_from(["coco", "facesynthetics", "attributes", "w300_lp"])


@contextlib.contextmanager
def replaced(path, content):
    whole = path.read_bytes()
    path.write_bytes(content)
    try:
        yield
    finally:
        path.write_bytes(whole)


@given(st.data(), COMMANDS, FORMS, st.sampled_from(HOSTILE))
@settings(max_examples=40, **RELAXED)
def test_a_record_may_name_no_file_but_its_own(dataset, data, what, form, name):
    """The hash is made to fit: only the name is wrong."""
    path = dataset / "frames/000001.json"
    record = layout.unseal(path.read_bytes())
    record["layers"][data.draw(st.sampled_from(sorted(record["layers"])))]["file"] = name
    with replaced(path, layout.seal(record)):
        assert _used(dataset, what, form) == {"check": 1, "export": 2, "report": 0}[what]


@given(st.data())
@settings(max_examples=60, **RELAXED)
def test_check_outlives_any_record(dataset, data):
    path = dataset / "frames/000001.json"
    record = _changed(layout.unseal(path.read_bytes()), data.draw, TREES)
    try:
        text = layout.seal(record)
    except ValueError:  # NaN, or half a surrogate: nobody can have written these as we do
        text = json.dumps(record).encode()
    with replaced(path, text):
        _used(dataset, "check", "")


@given(st.data())
@settings(max_examples=40, **RELAXED)
def test_any_card_is_read_or_refused(dataset, data):
    path = dataset / data.draw(st.sampled_from(["dataset.json", "recipe.json"]))
    changed = _changed(json.loads(path.read_bytes()) | {"sha256": ""}, data.draw, TREES)
    if data.draw(st.integers(0, 9)) == 0:
        changed["ranges"] = [[data.draw(st.integers()), data.draw(st.integers())]]
    words = data.draw(st.sampled_from([("check",), ("check",), ("worker", "--renderer", "mock"), ("report",)]))
    with replaced(path, json.dumps(changed).encode(errors="replace")):
        run(words[0], dataset, *words[1:])


@given(
    st.lists(st.sampled_from([*HOSTILE, "000001.json", "000002.json", "000003.rgb.png"]), min_size=1, max_size=4),
    st.data(),
    COMMANDS,
    FORMS,
)
@settings(max_examples=30, **RELAXED)
def test_any_shard_is_read_or_refused(dataset, names, data, what, form):
    shards = dataset / "shards"
    shards.mkdir(exist_ok=True)
    kinds = st.sampled_from([tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE])
    with tarfile.open(shards / "facewright-000000.tar", "w") as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = data.draw(kinds), "/etc/passwd"
            member.size = len(name.encode()) if member.isreg() else 0
            archive.addfile(member, io.BytesIO(name.encode()))
    try:
        _used(dataset, what, form)
        assert len(facewright.dataset.open(dataset).indices) >= 2
    finally:
        shutil.rmtree(shards)


HOSTILE_YAML = {
    "bomb.yaml": "a: &a [x, x, x, x, x, x, x, x, x]\n" + "\n".join(f"b{k}: &b{k} [*a, *a, *a]" for k in range(30)),
    "object.yaml": "name: !!python/object/apply:os.system ['touch evil']",
    "name.yaml": "name: !!python/name:os.system ",
    "tag.yaml": "name: !<tag:yaml.org,2002:binary> aGVsbG8=",
    "set.yaml": "subject: !!set {eye}",
    "twice.yaml": "name: a\nname: b",
    "merge.yaml": "x: &x {name: a}\n<<: *x",
    "merge2.yaml": "<<: {name: a}",
    "tabs.yaml": "subject:\n\teye:\n\t\tpupil_mm: 3",
    "bytes.yaml": b"name: \xff\xfe\x00",
    "deep.yaml": "a: " + "[" * 5000,
    "deeper.yaml": "name: " + "[" * 200_000 + "]" * 200_000,
    "deep.json": "[" * 200_000,
    "deep2.json": '{"a":' * 100_000,
    "digits.json": '{"frames_per_subject": ' + "9" * 5000 + "}",
    "digits.yaml": "frames_per_subject: " + "9" * 5000,
    "infinite.json": '{"gaze": {"yaw_deg": Infinity}}',
    "nan.yaml": "gaze: {yaw_deg: .nan}",
    "date.yaml": "name: 2001-99-99",
    "list.yaml": "- 1",
    "empty.yaml": "",
    "null.json": "null",
    "two.yaml": "name: a\n---\nname: b",
    "itself.yaml": "extends: itself.yaml",
    "folder.yaml": "hdri_folder: /proc/self/fd",
    "large.yaml": "name: " + "a" * 5_000_000,
    "key.yaml": "{[1, 2]: 3}",
    "wide.yaml": "joint: [" + "[]," * 20_000 + "]",
    "surrogate.json": '{"name": "\\ud800"}',
    "control.yaml": 'name: "\\0\\x1b[2J"',
    "outputs.yaml": "outputs: [../../evil, /tmp/evil]",
    "sexagesimal.yaml": "frames_per_subject: " + "1:" * 5000 + "1",
}


@pytest.mark.parametrize("name", HOSTILE_YAML)
def test_hostile_files_are_one_sentence_or_harmless(tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = HOSTILE_YAML[name]
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    before = listing(tmp_path)
    code, said = run("generate", name, "-o", tmp_path / "d", "--count", 1, "--dry-run")
    harmless = ("tag.yaml", "infinite.json", "surrogate.json", "control.yaml", "wide.yaml", "empty.yaml")
    assert code == 2 or name in harmless, said
    assert said.count("\n") == (code == 2)
    assert len(said) < 2000
    assert listing(tmp_path) == before


@pytest.mark.parametrize(
    "path", ["/dev/zero.yaml", "/dev/stdin", "/proc/self/mem", "/", "", "a" * 5000 + ".yaml", "pipe.yaml"]
)
def test_what_is_no_file_is_no_recipe(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe.yaml")
    assert run("generate", path, "-o", tmp_path / "d", "--dry-run")[0] == 2


@pytest.mark.parametrize("output", ["/dev/null", "/dev/null/x", "/proc/1/x", "a" * 300, "link"])
def test_an_output_that_cannot_be_is_one_sentence(tmp_path, monkeypatch, output):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "nowhere" / "deeper")
    settings = [word for setting in TINY for word in ("--set", setting)]
    code, said = run("generate", "face", "-o", output, "--count", 0, "--renderer", "mock", *settings)
    assert code == 2 or output == "link", said


FORBIDDEN = {
    "eval": "runs text",
    "exec": "runs text",
    "pickle": "runs what it reads",
    "marshal": "runs what it reads",
    "shelve": "runs what it reads",
    "urlopen": "asks the network",
    "urlretrieve": "asks the network",
    "requests": "asks the network",
    "httpx": "asks the network",
    "socketserver": "serves the network",
    "ftplib": "asks the network",
}


@pytest.mark.parametrize(
    "path", sorted((*HOUSE.rglob("*.py"), *(ROOT / "refiner").rglob("*.py"))), ids=lambda p: p.name
)
def test_nothing_runs_what_it_reads_and_nothing_asks_the_network(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        where = f"{path.name}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = {alias.name.partition(".")[0] for alias in node.names} | {getattr(node, "module", "") or ""}
            assert not names & set(FORBIDDEN), where
        elif isinstance(node, ast.Call):
            owner = getattr(getattr(node.func, "value", None), "id", "")
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            bare = isinstance(node.func, ast.Name)
            assert name not in FORBIDDEN or not (bare or owner in FORBIDDEN), f"{where}: {name} {FORBIDDEN.get(name)}"
            keywords = {word.arg: ast.unparse(word.value) for word in node.keywords}
            if owner == "torch" and name == "load":
                assert keywords.get("weights_only") == "True", where
            if owner == "yaml":
                assert name in ("safe_load", "safe_dump") or (name == "load" and keywords.get("Loader") == "Loader"), (
                    where
                )
            if owner in ("np", "numpy") and name == "load":
                assert keywords.get("allow_pickle", "False") == "False", where
            assert keywords.get("shell", "False") == "False", f"{where}: a shell runs text"
            assert (owner, name) != ("os", "system"), f"{where}: a shell runs text"
