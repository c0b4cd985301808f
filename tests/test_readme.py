"""The front page does not lie: its links lead somewhere, its commands exist, its example runs."""

import re
from pathlib import Path

import pytest

import facewright.scene
from facewright.cli import main
from facewright.mock import MockRenderer

CLONE = Path(__file__).resolve().parents[1]
README = (CLONE / "README.md").read_text(encoding="utf-8")
PAGES = [CLONE / "README.md", CLONE / "CONTRIBUTING.md", *sorted((CLONE / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page):
    links = re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not missing


def test_the_commands_of_the_table_are_all_there_are(capsys):
    main(["--help"])
    there_are = re.findall(r"^    ([a-z-]+)(?:  |$)", capsys.readouterr().out, re.MULTILINE)
    assert sorted(re.findall(r"^\| `facewright ([a-z-]+)", README, re.MULTILINE)) == sorted(there_are)


def test_the_example_runs(monkeypatch, capsys):
    monkeypatch.setattr(facewright.scene, "CyclesRenderer", MockRenderer)
    example = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[0]
    exec(compile(example, "README.md", "exec"), {})
    assert "(640, 400, 3) (640, 400)" in capsys.readouterr().out
