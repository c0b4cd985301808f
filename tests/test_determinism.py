"""A sample is a pure function of (recipe, seed, index): the ways to break that are banned, with reasons."""

import ast
from pathlib import Path

import pytest

import facewright

HOUSE = Path(facewright.__file__).parent
BANNED = {
    "random": "global state; draw from a named stream (rng.py)",
    "uuid": "another value in every run; derive names from recipe, seed and index",
    "secrets": "another value in every run",
    "time": "a clock; only what reports progress or timings may look at it",
    "datetime": "a clock",
    "numpy.random.seed": "global state; use rng.stream",
    "numpy.random.default_rng": "streams of distributions differ between numpy versions; use rng.uniforms",
    "hash()": "salted in every process; use hashlib",
    "id()": "an address",
    "os.urandom": "another value in every run",
    "set iteration": "order differs in every process for strings; sort it",
}
CLOCKS_ALLOWED = (
    "farm/",
    "progress.py",
    "cli.py",
    "mock.py",
    "scene/",
    "dataset/writer.py",
    "dataset/claim.py",
    "dataset/preview.py",
    "exports/run.py",
    "refining.py",
)
RANDOM_ALLOWED = ("rng.py",)


def offences(source):
    """Yield the key of BANNED and the line of every offence in Python `source`."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from ((alias.name, node.lineno) for alias in names if alias.name in BANNED)
            case ast.ImportFrom(module=module) if module in BANNED:
                yield module, node.lineno
            case ast.Call(func=ast.Name(id="hash" | "id" as name)):
                yield f"{name}()", node.lineno
            case ast.Attribute(value=ast.Attribute(value=ast.Name(id="np"), attr="random"), attr=what):
                yield (
                    f"numpy.random.{'seed' if what not in ('default_rng', 'Generator') else 'default_rng'}",
                    node.lineno,
                )
            case ast.Attribute(value=ast.Name(id="os"), attr="urandom"):
                yield "os.urandom", node.lineno
            case ast.For(iter=ast.Set()) | ast.comprehension(iter=ast.Set()):
                yield "set iteration", getattr(node, "lineno", 0)


@pytest.mark.parametrize("path", sorted(HOUSE.rglob("*.py")), ids=lambda path: str(path.relative_to(HOUSE)))
def test_nothing_random_but_named_streams(path):
    where = path.relative_to(HOUSE).as_posix()
    for key, line in offences(path.read_text(encoding="utf-8")):
        allowed = CLOCKS_ALLOWED if key in ("time", "datetime") else RANDOM_ALLOWED if key.startswith("numpy") else ()
        assert where.startswith(allowed or ("\0",)), f"{where}:{line}: {key}: {BANNED[key]}"


@pytest.mark.parametrize(
    ("source", "key"),
    [
        ("import random", "random"),
        ("from time import time", "time"),
        ("import uuid", "uuid"),
        ("hash('a')", "hash()"),
        ("import numpy as np\nnp.random.rand(3)", "numpy.random.seed"),
        ("[x for x in {1, 2}]", "set iteration"),
        ("np.random.default_rng()", "numpy.random.default_rng"),
        ("os.urandom(4)", "os.urandom"),
        ("id(3)", "id()"),
    ],
)
def test_the_ban_sees(source, key):
    assert [found for found, _ in offences(source)] == [key]
