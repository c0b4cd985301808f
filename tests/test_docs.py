"""The documentation says what the code does."""

import importlib.util
import re
from pathlib import Path

import pytest
import yaml

from facewright import Recipe, schema
from facewright.render import LAYERS
from facewright.sample import parameters

ROOT = Path(__file__).parents[1]
LABELS = (ROOT / "docs/labels.md").read_text(encoding="utf-8")
RECIPES = (ROOT / "docs/recipes.md").read_text(encoding="utf-8")


def tool():
    spec = importlib.util.spec_from_file_location("make_docs", ROOT / "tools/make_docs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", tool().PAGES)
def test_the_tables_are_current(name):
    page = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert tool().render(page) == page, "run `python tools/make_docs.py`"


def test_every_class_layer_and_landmark_group_is_on_the_label_page():
    for label in schema.Label:
        assert f"| {int(label)} | `{label.name}` |" in LABELS
        assert schema.DESCRIPTION[label] in LABELS
    for name, layer in LAYERS.items():
        assert f"| `{name}` | `000123.{layer.suffix}` |" in LABELS
    for name in schema.IBUG68:
        assert f"| `{name}` |" in LABELS
    assert schema.VERSION in LABELS
    for channel in (*schema.COVERAGE_CHANNELS, *schema.MATTE_CHANNELS):
        assert f"`{channel}`" in LABELS


def test_every_parameter_is_on_the_recipe_page():
    for path, (spec, _) in parameters().items():
        assert f"| `{path.rpartition('.')[2]}` |" in RECIPES
        assert spec.doc in RECIPES


def test_the_recipes_on_the_page_are_valid():
    found = re.findall(r"```yaml\n(.*?)```", RECIPES, re.DOTALL)
    assert len(found) == 2
    for text in found:
        data = yaml.safe_load(text)
        data.pop("extends", None)
        Recipe.from_data(data)


def test_every_landmark_is_defined_once_and_shown():
    page = (ROOT / "docs/landmarks.md").read_text(encoding="utf-8")
    ibug = page.split("## WFLW-98")[0]
    indices = [int(k) for cell in re.findall(r"^\| ([\d, ]+) \|", ibug, re.MULTILINE) for k in cell.split(",")]
    assert sorted(indices) == list(range(68))
    for name in re.findall(r"\((images/\w+\.png)\)", page + LABELS):
        assert (ROOT / "docs" / name).stat().st_size < 300_000
