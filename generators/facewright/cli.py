"""The command line: `facewright COMMAND ...`.

Exit codes: 0 done, 1 some frames failed, 2 the user's mistake (one sentence on stderr), 130 interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path

import facewright
from facewright import commands
from facewright.commands import DONE, INTERRUPTED, MISTAKE, SOME_FAILED
from facewright.errors import FacewrightError, UserError
from facewright.exports import FORMATS
from facewright.exports.view import SIDES_WANTED
from facewright.farm.worker import DEVICES, RENDERERS
from facewright.recipe import builtin_recipes
from facewright.refining import TRANSFERS

MAX_COUNT = 100_000_000
_REFINER = (
    "sensor profile, learned refiner (.safetensors, .onnx), transfer "
    f"({', '.join(TRANSFERS)}, as in fda:DIR), or one of these and a profile (REFINER.safetensors+PROFILE)"
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. The user's mistakes are one sentence on stderr."""
    try:
        args = _parser().parse_args(arguments(sys.argv) if argv is None else argv)
    except SystemExit as stop:
        return MISTAKE if stop.code else DONE
    try:
        with _sigterm_as_interrupt():
            return args.run(args)
    except KeyboardInterrupt:
        _say(getattr(args, "resume", "stopped"))
        return INTERRUPTED
    except UserError as error:
        _say(f"facewright: {error}")
        return MISTAKE
    except FacewrightError as error:
        _say(f"facewright: {error}")
        return SOME_FAILED
    except BrokenPipeError:
        return SOME_FAILED
    except Exception:
        traceback.print_exc()
        _say("facewright: this is a bug; please report it with the lines above")
        return SOME_FAILED


def arguments(argv: Sequence[str]) -> list[str]:
    """Return the arguments meant for us: inside Blender those after "--", else all but the program's name."""
    inside = getattr(getattr(sys.modules.get("bpy"), "app", None), "binary_path", "")
    if inside:
        return list(argv[argv.index("--") + 1 :]) if "--" in argv else []
    return list(argv[1:])


class _Parser(argparse.ArgumentParser):
    """Mistakes as one sentence."""

    def error(self, message: str) -> None:  # type: ignore[override]
        _say(f"{self.prog}: {message}; see `{self.prog} --help`")
        raise SystemExit(MISTAKE)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="facewright", description="Labelled eye and face images of people who do not exist.")
    parser.add_argument("--version", action="version", version=f"facewright {facewright.__version__}")
    subparsers = parser.add_subparsers(title="commands", required=True, metavar="COMMAND", parser_class=_Parser)
    names = ", ".join(builtin_recipes())

    add = subparsers.add_parser("generate", help="render a dataset, or continue one")
    add.set_defaults(run=commands.generate)
    _add_recipe(add, names)
    add.add_argument(
        "-o", "--output", type=_place, required=True, metavar="DIR", help="dataset folder, or s3://BUCKET/FOLDER ..."
    )
    add.add_argument(
        "--spool", type=Path, metavar="DIR", help="folder through which a URL is written (default: in the user's cache)"
    )
    add.add_argument("--count", type=_number(0, MAX_COUNT), default=24, metavar="N", help="frames (default 24)")
    add.add_argument("--start", type=_number(0, MAX_COUNT), default=0, metavar="I", help="first index (default 0)")
    add.add_argument(
        "--workers",
        type=_number(0, 100_000),
        metavar="W",
        help="processes (default: one for two cores, as far as memory and GPU go), or actors with --ray (default as "
        "many as the cluster holds); 0 only prepares the folder for `facewright worker`",
    )
    add.add_argument(
        "--ray",
        metavar="ADDRESS",
        help="render on a Ray cluster: local, auto, HOST:PORT or ray://HOST:PORT (see docs/scale.md)",
    )
    add.add_argument("--refine", default="none", metavar="REFINER", help=f"{_REFINER} (default none)")
    add.add_argument(
        "--refiners",
        type=_number(0, 100_000),
        default=0,
        metavar="K",
        help="with --ray, as many actors at most that refine in batches what the others render, on a GPU each where "
        "the cluster has any (default 0: who renders, refines)",
    )
    add.add_argument("--tar", action="store_true", help="pack the records into WebDataset shards")
    add.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    _add_station(add)
    _add_events(add)

    add = subparsers.add_parser("preview", help="a contact sheet of 12 frames, fast")
    add.set_defaults(run=commands.preview)
    _add_recipe(add, names)
    add.add_argument("-o", "--output", type=Path, metavar="PNG", help="default: preview_RECIPE.png")
    _add_station(add)
    _add_events(add)

    add = subparsers.add_parser("refine", help="make the frames of a dataset look real; the raw ones stay")
    add.set_defaults(run=commands.refine)
    add.add_argument("folder", type=Path, metavar="DIR")
    add.add_argument("--with", dest="spec", required=True, metavar="REFINER", help=_REFINER)
    add.add_argument("--refiner-python", metavar="PY", help="a Python that has torch, where this one has not")
    _add_events(add)

    add = subparsers.add_parser("fit-sensor", help="fit a sensor profile to a folder of real pictures")
    add.set_defaults(run=commands.fit_sensor)
    add.add_argument("--real", type=Path, required=True, metavar="DIR", help="real pictures")
    add.add_argument("--synthetic", type=Path, required=True, metavar="DIR", help="a dataset of the same subject")
    add.add_argument("-o", "--output", type=Path, required=True, metavar="YAML", help="the fitted profile")
    add.add_argument(
        "--base", default="webcam", metavar="PROFILE|PATH", help="where the search starts (default webcam)"
    )
    add.add_argument("--seed", type=_number(0, 2**63), default=0, metavar="S", help="default 0")
    add.add_argument("--budget", type=float, default=240.0, metavar="SECONDS", help="longest search (default 240)")
    _add_events(add)

    add = subparsers.add_parser("match", help="fit a recipe's distributions to real pictures without labels")
    add.set_defaults(run=commands.match)
    add.add_argument("--real", type=Path, required=True, metavar="DIR", help="real pictures, cropped alike")
    add.add_argument("--recipe", required=True, metavar="RECIPE", help=f"a built-in recipe ({names}) or a file")
    add.add_argument("-o", "--output", type=Path, required=True, metavar="YAML", help="the matched recipe")
    add.add_argument("--set", action="append", default=[], dest="changes", metavar="a.b=c", help="change the recipe")
    add.add_argument("--seed", type=_number(0, 2**63), default=0, metavar="S", help="default 0")
    add.add_argument("--renders", type=Path, metavar="DIR", help="a dataset to learn from instead of rendering one")
    add.add_argument("--count", type=_number(60, 10**6), default=400, metavar="N", help="renders (default 400)")
    add.add_argument("--workers", type=_number(1, 1024), default=1, metavar="W", help="processes (default 1)")
    _add_station(add)
    _add_events(add)

    add = subparsers.add_parser("train-refiner", help="train a refiner on a folder of real pictures without labels")
    add.set_defaults(run=commands.train_refiner)
    add.add_argument("--synthetic", type=Path, required=True, metavar="DIR", help="a dataset, or a folder of pictures")
    add.add_argument("--real", type=Path, required=True, metavar="DIR", help="real pictures of the same subject")
    add.add_argument("--preset", default="simgan", metavar="PRESET", help="see docs/refiner.md (default simgan)")
    add.add_argument("-o", "--output", type=Path, required=True, metavar="RUN", help="folder of the run; continued")
    add.add_argument("--steps", type=_number(0, MAX_COUNT), metavar="N", help="iterations (default: the preset's)")
    add.add_argument("--seed", type=_number(0, 2**63 - 1), metavar="S", help="default 0")
    add.add_argument("--set", action="append", default=[], dest="changes", metavar="key=c", help="change the preset")
    add.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="of torch (default auto)")
    _add_events(add)

    add = subparsers.add_parser("export-refiner", help="write a trained refiner as a file that runs without torch")
    add.set_defaults(run=commands.export_refiner)
    add.add_argument("refiner", type=Path, metavar="REFINER", help="a .safetensors file of train-refiner")
    add.add_argument("-o", "--output", type=Path, metavar="FILE", help="an .onnx or .pt2 file (default REFINER.onnx)")

    add = subparsers.add_parser("check", help="verify every file and every truth check of a dataset")
    add.set_defaults(run=commands.check)
    add.add_argument("folder", type=_place, metavar="DIR", help="dataset folder, or s3://BUCKET/FOLDER ...")
    add.add_argument("--repair", action="store_true", help="take bad frames out, for the same generate to make anew")
    _add_events(add)

    add = subparsers.add_parser("report", help="one HTML page about a dataset")
    add.set_defaults(run=commands.report)
    add.add_argument("folder", type=Path, metavar="DIR")
    add.add_argument("-o", "--output", type=Path, metavar="HTML", help="default: DIR/report.html")
    add.add_argument(
        "--real", type=Path, metavar="DIR", help="compare with real pictures; numbers go to a .json beside"
    )

    add = subparsers.add_parser("export", help="write a dataset in another dataset's layout")
    add.set_defaults(run=commands.export)
    add.add_argument("folder", type=Path, metavar="DIR")
    add.add_argument("--as", dest="format", required=True, metavar="FORMAT", help=", ".join(FORMATS))
    add.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="a new folder")
    add.add_argument("--side", choices=SIDES_WANTED, help="which eyes (default target: what the camera aims at)")
    add.add_argument("--raw", action="store_true", help="take the raw picture also where there is a refined one")
    _add_events(add)

    add = subparsers.add_parser("head-pack", help="make a pack of identities out of another head model's shapes")
    add.set_defaults(run=commands.head_pack)
    add.add_argument("neutral", type=Path, metavar="OBJ", help="its neutral face")
    add.add_argument("--modes", type=Path, nargs="+", required=True, metavar="OBJ", help="one sd of each identity axis")
    add.add_argument("--landmarks", type=Path, required=True, metavar="TXT", help="its 68 vertex numbers, iBUG's order")
    add.add_argument("--source", required=True, metavar="TEXT", help="whose work it is")
    add.add_argument("--licence", required=True, metavar="TEXT", help="its licence; it holds for the pack")
    add.add_argument("-o", "--output", type=Path, required=True, metavar="NPZ", help="NAME.npz in a head_folder")

    add = subparsers.add_parser("gap", help="what lies between your real data and ours: content, labels, appearance")
    add.set_defaults(run=commands.gap)
    add.add_argument("--real", type=Path, required=True, metavar="DIR", help="labelled real pictures; see docs/gap.md")
    add.add_argument("--task", choices=("parsing", "eyeseg", "gaze", "landmarks"), required=True, help="what to train")
    add.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="folder of the run; continued")
    add.add_argument("--format", default="", metavar="FORMAT", help="layout of DIR (default: recognised)")
    add.add_argument("--recipe", default="", metavar="R", help=f"{names}, or a file (default: as the task needs)")
    add.add_argument("--set", action="append", default=[], dest="changes", metavar="a.b=c", help="change the recipe")
    add.add_argument("--matched", metavar="FILE", help="a recipe of `facewright match` (default: match one)")
    add.add_argument(
        "--refine", default="reinhard", metavar="REFINER", help=f"{_REFINER}; default reinhard, from DIR's pictures"
    )
    add.add_argument("--count", type=_number(0, MAX_COUNT), default=0, metavar="N", help="pictures of a row")
    add.add_argument(
        "--more", type=_number(1, 1000), default=1, metavar="K", help="train on K times as many of ours too"
    )
    add.add_argument("--seeds", type=_number(1, 100), default=3, metavar="K", help="trainings of a row (default 3)")
    add.add_argument(
        "--steps", type=_number(1, MAX_COUNT), default=600, metavar="N", help="of a training (default 600)"
    )
    add.add_argument("--size", type=_number(32, 1024), default=0, metavar="PX", help="longer edge that is trained on")
    add.add_argument("--folds", type=_number(2, 100), default=4, metavar="K", help="where DIR has no split (default 4)")
    add.add_argument("--net", choices=("lenet", "resnet"), default="lenet", help="for gaze (default lenet)")
    add.add_argument("--seed", type=_number(0, 2**31), default=0, metavar="S", help="default 0")
    add.add_argument("--workers", type=_number(1, 1024), default=1, metavar="W", help="rendering processes (default 1)")
    _add_station(add)
    _add_events(add)

    add = subparsers.add_parser("doctor", help="what was found here, and what to do about what is missing")
    add.set_defaults(run=commands.doctor)
    add.add_argument("--refiner-python", metavar="PY", help="a Python that has torch, where this one has not")

    add = subparsers.add_parser("worker", help="help to finish a dataset that `generate` has begun, from any machine")
    add.set_defaults(run=commands.worker)
    add.add_argument("folder", type=Path, metavar="DIR")
    add.add_argument("--feed", action="store_true", help=argparse.SUPPRESS)  # indices from stdin, events to stdout
    _add_station(add)
    _add_events(add)
    return parser


def _add_recipe(add: argparse.ArgumentParser, names: str) -> None:
    add.add_argument("recipe", metavar="RECIPE", help=f"a built-in recipe ({names}) or a .yaml or .json file")
    add.add_argument("--set", action="append", default=[], dest="changes", metavar="a.b=c", help="change the recipe")
    add.add_argument("--seed", type=_number(0, 2**63), default=0, metavar="S", help="default 0")


def _add_station(add: argparse.ArgumentParser) -> None:
    add.add_argument("--device", choices=DEVICES, default="auto", help="what Cycles renders on (default auto)")
    add.add_argument(
        "--threads",
        type=_number(0, 4096),
        default=0,
        metavar="T",
        help="processor threads of a worker (default: all, shared among the workers)",
    )
    add.add_argument("--refiner-python", metavar="PY", help="a Python that has torch, where this one has not")
    add.add_argument(
        "--timeout",
        type=_number(0, MAX_COUNT),
        default=0,
        metavar="SECONDS",
        help="kill a worker that takes longer over a frame (default: 20 times the longest so far, at least 600; 1800 "
        "for the first)",
    )
    add.add_argument(
        "--renderer",
        choices=RENDERERS,
        default="cycles",
        help="mock paints diagrams with exact labels, to test a pipeline without Blender",
    )


def _add_events(add: argparse.ArgumentParser) -> None:
    add.add_argument("--json-events", action="store_true", help="progress as JSON lines on stdout")


def _place(text: str) -> Path | str:
    return text if "://" in text else Path(text)


def _number(low: int, high: int) -> type[int]:
    def number(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{value} is outside [{low}, {high}]")
        return value

    return number  # type: ignore[return-value]


@contextlib.contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """Let a batch system's SIGTERM stop us as cleanly as Ctrl-C does."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not the main thread: whoever runs us has its own ways
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _say(text: str) -> None:
    """Print one line on stderr; what a file or a name holds can neither break it nor command the terminal."""
    line = " ".join(text.splitlines())
    shown = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in line)
    with contextlib.suppress(OSError):  # nobody listens
        print(shown, file=sys.stderr, flush=True)
