"""Recipes: what is wrong is said in one sentence that names the place, and never as a traceback."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from facewright.dist import parse
from facewright.errors import AssetError, FacewrightError, RecipeError
from facewright.recipe import DEFAULT_OUTPUTS, OUTPUTS, Recipe, builtin_recipes
from facewright.sample import parameters, sample


def write(folder, text, name="r.yaml"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", builtin_recipes())
def test_a_built_in_recipe_is_its_own_data_again(name):
    recipe = Recipe.load(name)
    again = Recipe.from_data(json.loads(json.dumps(recipe.to_data())))
    assert again == recipe
    assert again.digest == recipe.digest
    assert sample(again, 3, 5) == sample(recipe, 3, 5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("subject: {eye: {pupill_mm: 3}}", r"subject\.eye: unknown key 'pupill_mm'.*pupil_mm"),
        ("gase: {yaw_deg: 3}", r"unknown key 'gase'.*gaze"),
        ("subject: {eye: {pupil_mm: {uniform: [8, 2]}}}", r"pupil_mm.*low 8 is above high 2"),
        ("subject: {eye: {pupil_mm: {uniform: [2, 90]}}}", r"pupil_mm: 90 mm is outside \[1\.5, 9\] mm"),
        ("subject: {eye: {pupil_mm: {unifrom: [2, 3]}}}", "uniform"),
        ("image: {width: 12.5}", "whole number"),
        ("image: {spectrum: xray}", "not one of rgb, nir"),
        ("light: {hdri: moon}", "light.hdri: 'moon' is not in"),
        ("hdri_folder: ./nowhere", "is not a folder"),
        ("outputs: [segg]", r"outputs\[0\]: unknown output 'segg'.*seg"),
        ("scene: body", "scene: 'body' is not one of eye, face"),
        ("frames_per_subject: 0", "whole number in"),
        ("gaze: 3", "gaze: is a section"),
        ("gaze: {yaw_deg: .nan}", "finite"),
        ("a: &x 1\nb: *x", "aliases are not allowed"),
        ("gaze: {yaw_deg: 1, yaw_deg: 2}", "given twice"),
        ("- 1", "a recipe is a mapping"),
        ("gaze: {yaw_deg: [1", "is not YAML"),
        ("extends: r.yaml", "extends itself"),
        ("joint: [{fields: [gaze.yaw_deg], rows: [[100]]}]", "outside"),
        ("joint: [{fields: [gaze.yaw_deg, subject.eye.pupil_mm], rows: [[1, 2]]}]", "mixes subject"),
    ],
)
def test_a_mistake_is_one_sentence_that_names_the_place(tmp_path, text, message):
    with pytest.raises(RecipeError, match=message) as caught:
        Recipe.load(write(tmp_path, text))
    assert "r.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_an_unknown_name_are_told_apart(tmp_path):
    with pytest.raises(RecipeError, match="no such file"):
        Recipe.load(tmp_path / "none.yaml")
    with pytest.raises(RecipeError, match=r"no built-in recipe 'eye_rbg'.*eye_rgb"):
        Recipe.load("eye_rbg")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(AssetError, match="cannot be read as text"):
        Recipe.load(tmp_path / "bytes.yaml")


def test_set_changes_one_leaf_and_says_what_is_wrong_with_it():
    recipe = Recipe.load("face", ["gaze.yaw_deg={uniform: [-1, 1]}", "image.width=64"])
    assert -1 <= sample(recipe, 0, 0).gaze.yaw_deg <= 1
    assert sample(recipe, 0, 0).image.width == 64
    for change, message in (
        ("gaze.yaw=1", "unknown key 'yaw'"),
        ("gaze.yaw_deg", "expected dotted.path=value"),
        ("gaze.yaw_deg=up", "finite number"),
        ("gaze.yaw_deg.x=1", "yaw_deg"),
    ):
        with pytest.raises(RecipeError, match=message):
            Recipe.load("face", [change])


def test_extends_keeps_what_is_silent(tmp_path):
    write(tmp_path, "extends: eye_rgb\nimage: {width: 320}", "child.yaml")
    child, parent = Recipe.load(tmp_path / "child.yaml"), Recipe.load("eye_rgb")
    assert child.scene == parent.scene
    assert sample(child, 0, 0).image.width == 320
    assert sample(child, 0, 0).image.height == sample(parent, 0, 0).image.height


def test_the_digest_is_of_the_content_not_of_the_name(tmp_path):
    one = Recipe.from_data({"name": "a", "gaze": {"yaw_deg": 1}})
    two = Recipe.from_data({"name": "b", "gaze": {"yaw_deg": 1}})
    other = Recipe.from_data({"name": "a", "gaze": {"yaw_deg": 2}})
    assert one.digest == two.digest != other.digest


def test_outputs_are_a_known_order_whatever_order_was_written():
    assert Recipe.from_data({"outputs": ["normal", "seg"]}).outputs == ("seg", "normal")
    assert Recipe.from_data({}).outputs == DEFAULT_OUTPUTS
    assert Recipe.from_data({"outputs": list(OUTPUTS)}).outputs == OUTPUTS


JSONISH = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "uniform",
                    "normal",
                    "choice",
                    "empirical",
                    "log_uniform",
                    "mean",
                    "sd",
                    "low",
                    "high",
                    "values",
                    "weights",
                    "jitter",
                    "fields",
                    "rows",
                ]
            )
            | st.text(max_size=5),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(JSONISH)
@settings(max_examples=400, deadline=None)
def test_garbage_for_a_distribution_gives_a_recipe_error(data):
    try:
        found = parse(data, "gaze.yaw_deg")
    except RecipeError as error:
        assert "gaze.yaw_deg" in str(error)  # noqa: PT017 (most garbage raises, some is valid)
        return
    if found is not None:
        found.draw([0.5] * found.width)


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "name",
                "scene",
                "outputs",
                "joint",
                "frames_per_subject",
                "hdri_folder",
                "gaze",
                "subject",
                "image",
                "light",
            ]
        )
        | st.text(max_size=4),
        JSONISH,
        max_size=4,
    )
)
@settings(max_examples=400, deadline=None)
def test_garbage_for_a_recipe_gives_a_facewright_error(data):
    try:
        sample(Recipe.from_data(data), 0, 0)
    except FacewrightError as error:
        assert str(error)  # noqa: PT017


@given(st.sampled_from(sorted(parameters())), JSONISH)
@settings(max_examples=300, deadline=None)
def test_garbage_at_any_leaf_gives_a_facewright_error(path, value):
    data = node = {}
    *folders, leaf = path.split(".")
    for folder in folders:
        node = node.setdefault(folder, {})
    node[leaf] = value
    try:
        sample(Recipe.from_data(data), 0, 0)
    except FacewrightError as error:
        assert str(error)  # noqa: PT017


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_garbage_in_a_file_gives_a_facewright_error(tmp_path, content):
    for name in ("g.yaml", "g.json"):
        (tmp_path / name).write_bytes(content)
        try:
            Recipe.load(tmp_path / name)
        except FacewrightError as error:
            assert name in str(error)  # noqa: PT017


def test_where_the_maps_lie_does_not_change_the_digest(tmp_path):
    digests = set()
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "sky.exr").write_bytes(b"")
        digests.add(Recipe.from_data({"hdri_folder": place}, folder=tmp_path).digest)
    assert len(digests) == 1


def test_a_wrong_base_is_named_with_the_file_that_extends_it(tmp_path):
    (tmp_path / "own.yaml").write_text("extends: eyergb\n")
    with pytest.raises(RecipeError, match=r"own\.yaml: extends: .*eye"):
        Recipe.load(tmp_path / "own.yaml")


def test_bounds_far_off_the_mean_are_refused():
    with pytest.raises(RecipeError, match=r"gaze\.yaw_deg.*6 sd"):
        Recipe.from_data({"gaze": {"yaw_deg": {"normal": {"mean": 50, "sd": 1, "low": -2, "high": 3}}}})


def test_pinned_values_hold_and_joint_tables_go_on_drawing_the_rest():
    recipe = Recipe.from_data(
        {
            "joint": [
                {"fields": ["gaze.yaw_deg", "gaze.pitch_deg"], "rows": [[-10, 2], [4, -3]], "jitter": [0, 0.5]},
                {"fields": ["pose.head_yaw_deg"], "rows": [[7]]},
            ]
        }
    )
    pinned = recipe.pinned({"gaze.yaw_deg": 1.5, "pose.head_yaw_deg": -3.0, "subject.hair.style": "bob"})
    assert [table.fields for table in pinned.joints] == [("gaze.pitch_deg",)]
    assert pinned.joints[0].jitter == (0.5,)
    for index in range(4):
        drawn = sample(pinned, 2, index)
        assert (drawn.gaze.yaw_deg, drawn.pose.head_yaw_deg, drawn.subject.hair.style) == (1.5, -3.0, "bob")
        assert min(abs(drawn.gaze.pitch_deg - row) for row in (2, -3)) <= 0.5
    assert Recipe.from_data(pinned.to_data()) == pinned
    assert recipe.pinned({}) == recipe
    with pytest.raises(RecipeError, match=r"gaze.yaw_deg: 99 deg is outside"):
        recipe.pinned({"gaze.yaw_deg": 99.0})
