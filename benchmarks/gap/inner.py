"""Make a folder to judge heads and recipes with, without looking at the test part.

    python benchmarks/gap/inner.py --real DIR --count 80 -o INNER
    facewright gap --real INNER --task parsing --count 80 ...

INNER's training part are the pictures that `facewright gap --real DIR --count 80` trains on, its test part all other
training pictures of DIR, as links. DIR is a folder of `masks:celebamask_hq`. Matching sees pictures of DIR's training
part without labels, so what is measured here is a little too good for the rows from `matched` on.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "generators"), str(ROOT / "refiner")]

from facewright.recipe import Recipe  # noqa: E402
from facewright_refiner.gap import GapOrder, _choose, divide  # noqa: E402
from facewright_refiner.readers import open_real  # noqa: E402


def main() -> None:
    """Make the links."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--real", type=Path, required=True)
    parser.add_argument("--count", type=int, default=80)
    parser.add_argument("-o", "--out", type=Path, required=True)
    options = parser.parse_args()
    real = open_real(options.real, "masks:celebamask_hq")
    order = GapOrder(real, "parsing", Recipe.load("face"), count=options.count)
    training = divide(real, order)[0].train
    chosen = set(_choose(training, options.count, order.seed))
    for place in training:
        picture = options.real / real.entries[place].name
        part = options.out / ("train" if place in chosen else "test")
        for file in (picture, picture.parents[1] / "masks" / f"{picture.stem}.png"):
            link = part / file.parent.name / file.name
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.exists():
                link.symlink_to(file.resolve())


if __name__ == "__main__":
    main()
