"""Backdrops: painted, blurred or the user's own; behind the person, without light."""

import numpy as np
import pytest
from PIL import Image

from facewright import Recipe, sample
from facewright.errors import AssetError, RecipeError
from facewright.world.backdrop import PAINTED, SIZE, blurred, paint

SMALL = ["image.width=64", "image.height=64", "image.samples=1", "image.denoise=false", "camera.field_mm=420"]


@pytest.fixture(scope="module")
def renderer():
    from facewright.scene import CyclesRenderer

    with CyclesRenderer(device="cpu") as found:
        yield found


@pytest.mark.parametrize("kind", PAINTED)
def test_paintings_differ_from_frame_to_frame_and_not_from_run_to_run(kind):
    backdrop = sample(Recipe.load("face", [f"backdrop.kind={kind}"]), 3, 0).backdrop
    first, again, other = (paint(backdrop, seed) for seed in ((3, 0), (3, 0), (3, 1)))
    assert first.shape == (SIZE, SIZE, 3)
    assert np.array_equal(first, again)
    assert np.abs(first - other).mean() > 1e-4
    assert np.isfinite(first).all()
    assert 0 <= first.min() < first.max() < 20


def test_blur_is_a_gaussian_that_keeps_the_light():
    dot = np.zeros((65, 65, 1))
    dot[32, 32] = 1
    soft = blurred(dot, 3.0)
    assert soft.sum() == pytest.approx(1)
    away = np.arange(65) - 32
    assert float((soft[..., 0].sum(axis=0) * away**2).sum()) == pytest.approx(9.0, rel=0.02)
    assert blurred(dot, 0.0) is dot


def test_the_person_stands_before_it_and_is_lit_as_without_it(renderer):
    one = sample(Recipe.load("face", [*SMALL, "backdrop.gain=4", "subject.wear.glasses.kind=none"]), 1, 2)
    plain = renderer(one.replace({"backdrop.kind": "map"}), ("linear", "seg", "depth", "coverage"))
    paper = renderer(one.replace({"backdrop.kind": "paper"}), ("linear", "seg", "depth", "coverage"))
    assert np.array_equal(plain.seg, paper.seg)
    assert np.array_equal(plain.layers["depth"], paper.layers["depth"])
    behind = plain.seg == 0
    solid = ~behind & (plain.coverage.max(axis=2) == 0)  # between strands the background shows
    lit = [frame.layers["linear"][solid].mean(axis=1) for frame in (paper, plain)]
    assert 0.3 < lit[0].mean() / lit[1].mean() < 3  # exposure may differ: it sees the background too
    assert np.corrcoef(*lit)[0, 1] > 0.999
    assert np.abs(paper.rgb[behind].astype(int) - plain.rgb[behind]).mean() > 5


def test_a_users_picture_stands_behind_the_right_way_up(renderer, tmp_path):
    from facewright.scene import CyclesRenderer

    halves = np.zeros((40, 60, 3), np.uint8)
    halves[:20] = (255, 0, 0)  # red above, blue below
    halves[20:] = (0, 0, 255)
    Image.fromarray(halves).save(tmp_path / "halves.png")
    (tmp_path / "r.yaml").write_text("scene: face\nbackdrop_folder: .\n")
    recipe = Recipe.load(tmp_path / "r.yaml", [*SMALL, "backdrop.blur=0", "light.hdri=studio"])
    one = sample(recipe, 0, 0)
    assert (one.backdrop.kind, one.backdrop.picture) == ("picture", "halves.png")
    with CyclesRenderer(device="cpu", backdrop_folder=recipe.backdrop_folder) as own:
        frame = own(one, ("seg",))
    behind = frame.seg == 0
    above, below = frame.rgb[:8][behind[:8]].mean(axis=0), frame.rgb[36:50][behind[36:50]].mean(axis=0)
    assert above[0] > 3 * above[2]
    assert below[2] > 3 * below[0]


def test_faults_are_one_sentence(tmp_path):
    with pytest.raises(RecipeError, match=r"backdrop_folder: backdrop\.kind may be 'picture'"):
        Recipe.load("face", ["backdrop.kind=picture"])
    (tmp_path / "a.jpg").write_bytes(b"")
    recipe = tmp_path / "r.yaml"
    recipe.write_text("backdrop_folder: .\nbackdrop: {picture: b.jpg}\n")
    with pytest.raises(RecipeError, match=r"backdrop\.picture: 'b\.jpg' is not in"):
        Recipe.load(recipe)
    recipe.write_text("backdrop_folder: none_such\n")
    with pytest.raises(RecipeError, match=r"backdrop_folder: .* is not a folder"):
        Recipe.load(recipe)


def test_a_broken_picture_is_one_sentence(renderer, tmp_path):
    from facewright.scene import CyclesRenderer

    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    (tmp_path / "r.yaml").write_text("scene: face\nbackdrop_folder: .\n")
    one = sample(Recipe.load(tmp_path / "r.yaml", SMALL), 0, 0)
    with (
        CyclesRenderer(device="cpu", backdrop_folder=tmp_path) as own,
        pytest.raises(AssetError, match=r"bad\.jpg is no picture"),
    ):
        own(one, ())
