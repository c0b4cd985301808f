"""Give near-eye pictures their recordings: a folder that `facewright gap` reads, made of links to DIR's files.

    python benchmarks/gap/near_eyes.py --real DIR --starts 0 14 21 41 48 64 75 97 109 116 -o OUT

DIR holds `images/rN.jpg` and `masks/rN.png`. `--starts` are the places, in the order of N, at which a recording begins:
read off the date stamps and the looks of the pictures, since the file names do not say.
"""

from __future__ import annotations

import argparse
import csv
from bisect import bisect
from pathlib import Path

from facewright_refiner.readers.base import pictures_in


def main() -> None:
    """Link the folders and write groups.csv."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--real", type=Path, required=True)
    parser.add_argument("--starts", type=int, nargs="+", required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    args.output.mkdir(parents=True)
    for name in ("images", "masks"):
        (args.output / name).symlink_to((args.real / name).resolve())
    with (args.output / "groups.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("file", "group"))
        for place, path in enumerate(pictures_in(args.real / "images")):
            table.writerow((path.name, f"recording{bisect(args.starts, place)}"))


if __name__ == "__main__":
    main()
