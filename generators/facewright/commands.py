"""What each command does: its arguments in, its exit code out. Imports wait until a command needs them."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import faulthandler
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from facewright.errors import MissingPackage, UserError
from facewright.farm.worker import Station, station_of
from facewright.progress import print_event, watch
from facewright.recipe import Recipe
from facewright.refining import TRANSFERS, split_spec

DONE, SOME_FAILED, MISTAKE, INTERRUPTED = 0, 1, 2, 130


def generate(args: argparse.Namespace) -> int:
    """Render a dataset, or continue one."""
    from facewright.dataset.spool import spool_of
    from facewright.farm import local, ray
    from facewright.farm.generate import Order, generate, missing

    recipe = Recipe.load(args.recipe, args.changes)
    order = Order(recipe, args.seed, args.start, args.count, spec(args.refine), args.tar)
    url = args.output if isinstance(args.output, str) else ""
    if args.spool and not url:
        raise UserError(f"--spool {args.spool}: is only for a URL; -o {args.output} is written where it is")
    if args.refiners and not (args.ray and order.refine != "none"):
        raise UserError(
            f"--refiners {args.refiners}: are actors of --ray for --refine; give both, or leave --refiners out"
        )
    folder = Path((args.spool or spool_of(url)) if url else args.output)
    if args.dry_run:
        todo = missing(order, folder, url)
        print(f"would render {len(todo)} of {args.count} frames of {recipe.name} ({recipe.digest}) into {args.output}")
        return DONE
    args.resume = f"stopped; run the same command again to continue in {args.output}"
    station = station_of(args)
    run, places = local.run, local.places
    with contextlib.ExitStack() as stack:
        emit = stack.enter_context(watch(f"rendering {recipe.name}:", json_events=args.json_events))
        if args.ray:
            nowhere = stack.enter_context(Path(os.devnull).open("w"))
            stack.enter_context(contextlib.redirect_stdout(nowhere))  # Ray prints a page for each actor that dies
            fleet = stack.enter_context(ray.connect(args.ray, args.refiners))
            run, places = fleet.run, fleet.places
        workers = min(places(station), max(1, args.count)) if args.workers is None else args.workers
        if not args.ray:
            station = _share_threads(station, workers)
        failed = generate(order, folder, station, workers, emit, run, url)
    return SOME_FAILED if failed else DONE


def preview(args: argparse.Namespace) -> int:
    """Render a contact sheet."""
    from facewright.dataset.preview import preview

    recipe = Recipe.load(args.recipe, args.changes)
    output = args.output or Path(f"preview_{recipe.name}.png")
    with watch(f"previewing {recipe.name}:", json_events=args.json_events) as emit:
        failed = preview(recipe, args.seed, station_of(args), output, emit)
    return SOME_FAILED if failed else DONE


def refine(args: argparse.Namespace) -> int:
    """Refine a dataset."""
    from facewright.farm.refine import refine

    args.resume = "stopped; run the same command again to continue"
    with watch(f"refining with {args.spec}:", json_events=args.json_events) as emit:
        failed = refine(args.folder, spec(args.spec), args.refiner_python, emit)
    return SOME_FAILED if failed else DONE


def fit_sensor(args: argparse.Namespace) -> int:
    """Fit a sensor profile to real pictures."""
    with _needing("fitting", "torch kornia"):
        from facewright_refiner.fit import fit_sensor
    with watch("fitting", json_events=args.json_events) as emit:
        fit = fit_sensor(
            args.real, args.synthetic, args.output, base=args.base, seed=args.seed, budget_s=args.budget, progress=emit
        )
        for note in fit.notes:
            emit({"event": "warning", "message": note})
    if not args.json_events:
        print(args.output)
    return DONE


def match(args: argparse.Namespace) -> int:
    """Fit a recipe to real pictures."""
    with _needing("matching", "torch kornia scipy"):
        from facewright_refiner.matching import match, to_yaml
        from facewright_refiner.pictures import find_pictures
    from facewright.dataset.layout import write_atomic

    work = args.output.with_suffix(".match")
    args.resume = f"stopped; run the same command again to continue in {work}"
    with watch("rendering to learn from:", json_events=args.json_events) as emit:
        matched = match(
            Recipe.load(args.recipe, args.changes),
            find_pictures(args.real),
            work,
            seed=args.seed,
            renders=args.renders,
            count=args.count,
            station=_share_threads(station_of(args), args.workers),
            workers=args.workers,
            log=lambda text: emit({"event": "note", "message": text}),
            emit=emit,
        )
        for note in matched.notes:
            emit({"event": "warning", "message": note})
    write_atomic(args.output, to_yaml(matched).encode())
    if not args.json_events:
        print(args.output)
    return DONE


def train_refiner(args: argparse.Namespace) -> int:
    """Train a refiner."""
    with _needing("training", "torch kornia safetensors"):
        from facewright_refiner.presets import Config
        from facewright_refiner.train import train
    config = Config.of(args.preset, args.changes, steps=args.steps, seed=args.seed)
    args.resume = f"stopped; run the same command again to continue in {args.output}"
    with watch(f"training {config.preset}:", json_events=args.json_events) as emit:
        trained = train(args.synthetic, args.real, args.output, config, args.device, emit)
    if not args.json_events:
        print(trained)
    return DONE


def export_refiner(args: argparse.Namespace) -> int:
    """Write a trained refiner as a file that runs without torch."""
    with _needing("exporting", "torch kornia safetensors onnx onnxscript onnxruntime"):
        from facewright_refiner.portability import export_refiner
    output = args.output or args.refiner.with_suffix(".onnx")
    export_refiner(args.refiner, output)
    print(output)
    return DONE


def check(args: argparse.Namespace) -> int:
    """Verify a dataset, and take out what is damaged."""
    from facewright.dataset.spool import reaching
    from facewright.farm.verify import verify

    url = args.folder if isinstance(args.folder, str) else ""
    if url and args.repair:
        raise UserError(f"--repair does not work at {url}; copy the dataset to a folder, repair it, and copy it back")
    with watch("checking", json_events=args.json_events) as emit, reaching(url) if url else contextlib.nullcontext():
        failed = verify(args.folder, emit, args.repair)
    return SOME_FAILED if failed else DONE


def report(args: argparse.Namespace) -> int:
    """Write the page about a dataset."""
    from facewright.dataset.report import report

    output = args.output or args.folder / "report.html"
    with watch("comparing") if args.real else contextlib.nullcontext() as emit:
        report(args.folder, output, args.real, emit)
    print(output)
    return DONE


def export(args: argparse.Namespace) -> int:
    """Write a dataset in another's layout."""
    from facewright.exports.run import export

    with watch(f"exporting as {args.format}:", json_events=args.json_events) as emit:
        export(args.folder, args.format, args.output, emit, side=args.side or "", raw=args.raw)
    return DONE


def head_pack(args: argparse.Namespace) -> int:
    """Make a head pack."""
    from facewright.face.packs import SUFFIX
    from facewright.face.register import Other, register

    if args.output.suffix != SUFFIX or not args.output.parent.is_dir():
        raise UserError(f"-o {args.output}: expected NAME{SUFFIX} in a folder that exists")
    pack, fit = register(Other.load(args.neutral, args.modes, args.landmarks), args.source, args.licence)
    pack.save(args.output)
    print(
        f"{args.output}: {len(pack.axes)} axes; {100 * fit.trusted:.0f} % of the skin lies on the other's, "
        f"half of that within {fit.median_mm:.2f} mm, all of it within {fit.worst_mm:.1f} mm"
    )
    return DONE


def gap(args: argparse.Namespace) -> int:
    """Measure the gap between real pictures and ours."""
    with _needing("measuring the gap", "torch kornia"):
        from facewright_refiner import gap, gap_page
        from facewright_refiner.readers import open_real
        from facewright_refiner.tasks import CONVENTION, Budget
    real = open_real(args.real, args.format, convention=CONVENTION.get(args.task, ""))
    recipe = Recipe.load(args.recipe or gap.default_recipe(args.task, real.format), args.changes)
    order = gap.GapOrder(
        real=real,
        task=args.task,
        recipe=recipe,
        matched=Recipe.load(args.matched, args.changes) if args.matched else None,
        refine=args.refine if args.refine in TRANSFERS else spec(args.refine),
        count=args.count,
        seeds=args.seeds,
        seed=args.seed,
        more=args.more,
        folds=args.folds,
        edge=args.size,
        net=args.net,
        budget=Budget(steps=args.steps),
    )
    args.resume = f"stopped; run the same command again to continue in {args.output}"
    with watch("gap:", json_events=args.json_events) as emit:
        station = _share_threads(station_of(args), args.workers)
        result = gap.run(order, args.output, station, args.workers, emit)
    page = args.output / "gap.html"
    gap_page.write(result, page)
    if not args.json_events:
        print("\n".join([*gap_page.lines(result), str(page)]))
    return DONE


def doctor(args: argparse.Namespace) -> int:
    """Say what was found here."""
    from facewright.doctor import examine, show

    findings = examine(args.refiner_python)
    show(findings)
    return DONE if all(finding.ok for finding in findings if finding.needed) else SOME_FAILED


def worker(args: argparse.Namespace) -> int:
    """Help to finish a dataset."""
    from facewright.farm.worker import Turn, work

    args.resume = "stopped; run the same command again to continue"
    faulthandler.enable(2)  # whatever ends this process, the log says where
    if not args.feed:
        with watch("working on", json_events=args.json_events) as emit:
            return DONE if work(args.folder, station_of(args), emit) else SOME_FAILED
    events = _private_stdout()
    try:
        work(args.folder, station_of(args), lambda event: print_event(event, events), map(Turn.parse, sys.stdin))
    except UserError as error:
        print_event({"event": "fatal", "error": str(error)}, events)
        raise
    return DONE


def _private_stdout() -> io.TextIOWrapper:
    """Return the real stdout for events and send everything else that is printed, Blender's too, to stderr."""
    sys.stdout.flush()
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return events


def spec(text: str) -> str:
    """Return a refiner as workers must hear it: files and folders by their full path, on both sides of a "+"."""
    first, camera = split_spec(text)
    name, mark, folder = first.partition(":")
    if mark and name in TRANSFERS:
        full = f"{name}:{Path(folder).resolve()}"
    else:
        full = str(Path(first).resolve()) if Path(first).suffix else first
    return f"{full}+{spec(camera)}" if camera else full


def _share_threads(station: Station, workers: int) -> Station:
    if station.threads or workers < 2:
        return station
    share = max(1, (os.cpu_count() or 1) // workers)
    return dataclasses.replace(station, threads=share)


@contextlib.contextmanager
def _needing(what: str, packages: str) -> Iterator[None]:
    """Turn a failed import inside into advice: `what` needs `packages`."""
    try:
        yield
    except ImportError as error:
        raise MissingPackage(
            f"{what} needs {', '.join(packages.split())} ({error}); run `python -m pip install {packages}`, or this "
            "command with a Python that has them"
        ) from None
