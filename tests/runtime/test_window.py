"""The extension in a real Blender window, clicked through with a mouse: see window_session.py.

$FACEWRIGHT_BLENDER must have Xvfb, xdotool and ImageMagick beside it, as `scripts/blender-chroot` has.
"""

import json
import subprocess
import sys

import pytest

from .test_runtimes import CLONE, OUT, PATIENCE_S, fresh, wanted


@pytest.fixture(scope="module")
def found():
    blender = wanted("FACEWRIGHT_BLENDER")
    folder = fresh("window")
    folder.mkdir(parents=True)
    build = [sys.executable, "tools/build_extension.py", "-o", str(OUT / "extension")]
    zipped = subprocess.run(build, cwd=CLONE, capture_output=True, text=True, check=True).stdout.split()[-1]
    command = [*blender, "--background", "--python", "tests/runtime/window_display.py", "--", zipped, str(folder)]
    result = subprocess.run(
        command, cwd=CLONE, capture_output=True, text=True, check=False, timeout=PATIENCE_S, stdin=subprocess.DEVNULL
    )
    report = folder / "found.json"
    assert report.exists(), result.stdout + result.stderr
    session = json.loads(report.read_text())
    assert "error" not in session, session["error"] + f"\nscreenshots: {folder}"
    return session


def test_installs_and_previews_by_a_click(found):
    assert found["blender"] >= [5, 2]
    assert found["installed"] == ["FINISHED"]
    assert found["parts"] > 20
    assert found["looks_on"] == "CAMERA"


def test_eyes_follow_the_dragged_target(found):
    assert found["off_target_deg"] < 0.1
    assert "gaze.yaw_deg" in found["pinned"]


def test_the_overlay_paints_the_classes_and_goes_away(found):
    before, shown, after = found["overlay"]
    assert shown > 5000
    assert max(before, after) < 0.02 * shown


def test_generate_renders_beside_a_window_that_answers(found):
    assert found["frames"] == [f"{index:06d}.rgb.png" for index in range(4)]
    assert found["ticks"] >= 5  # timers that ran while the job did


def test_escape_stops_a_job(found):
    state, done = found["stopped"]
    assert state == "stopped"
    assert 5 <= done < 500


def test_nothing_is_left_behind(found):
    assert found["left"] == []
    assert found["undone"]
    assert found["redone"]
    assert found["disabled"]
