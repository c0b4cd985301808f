"""`python -m facewright`, and the only place where the process ends."""

from __future__ import annotations

import os
import sys


def run() -> None:
    """Run the command line and exit with its code, skipping bpy's teardown, which crashes now and then."""
    from facewright.cli import arguments, main

    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:  # closed by whoever started us, as `2>&-` does
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), "w" if number else "r"))
    code = main(arguments(sys.argv))
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:  # nobody listens, as behind `| head`, or the disk is full
        code = code or 1
    os._exit(code)


if __name__ == "__main__":
    run()
