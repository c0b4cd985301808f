"""Open a Blender window on a display without a screen, and run a session in it.

Run inside Blender, because the display's programs live where Blender does: `blender --background --python
tests/runtime/window_display.py -- ZIP FOLDER`. The window is of the same Blender, with an empty profile in FOLDER.
"""

import os
import subprocess
import sys
from pathlib import Path

import bpy

SIZE = "1440x900"
PATIENCE_S = 420


def main(zipped, folder):
    reading, writing = os.pipe()
    display = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-screen", "0", f"{SIZE}x24"],
        pass_fds=[writing],
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    number = os.read(reading, 16).decode().strip()
    environment = os.environ | {
        "DISPLAY": f":{number}",
        "LIBGL_ALWAYS_SOFTWARE": "1",
        "HOME": str(folder / "home"),
        "BLENDER_USER_RESOURCES": str(folder / "profile"),
    }
    environment.pop("BLENDER_USER_EXTENSIONS", None)
    for name in ("home", "profile"):
        (folder / name).mkdir(parents=True)
    session = Path(__file__).with_name("window_session.py")
    geometry = ["--window-geometry", "0", "0", *SIZE.split("x")]
    try:
        return subprocess.run(
            [bpy.app.binary_path, *geometry, "--python", str(session), "--", str(zipped), str(folder)],
            env=environment,
            check=False,
            timeout=PATIENCE_S,
        ).returncode
    finally:
        display.terminate()
        display.wait()


code = main(*map(Path, sys.argv[-2:]))
sys.stdout.flush()
os._exit(code)
