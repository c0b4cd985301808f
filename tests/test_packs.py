"""Head packs: another topology is registered to ours, and its identities become ours."""

import numpy as np
import pytest
import trimesh

from facewright import Recipe, sample
from facewright.check import check_frame
from facewright.cli import DONE, MISTAKE, main
from facewright.errors import AssetError, RecipeError, UserError
from facewright.face import packs
from facewright.face.basis import axis_weights, head_basis
from facewright.face.landmarks import ibug68
from facewright.face.register import Other, register, similarity
from facewright.face.topology import topology
from facewright.mock import MockRenderer

AXES = ("head-fat", "nose-scale-horiz", "chin-jaw-drop")
ROWS, COLUMNS = 150, 220
SCALE, SHIFT = 0.1, np.array([3.0, -2.0, 7.0])
TURN = np.linalg.qr(np.array([[0.9, 0.3, -0.1], [-0.2, 0.8, 0.5], [0.3, -0.4, 0.9]]))[0]


def displacement(axis):
    """Return what one of our axes does to our vertices, (V, 3) mm: the answer that a registration should find."""
    basis = head_basis()
    index, delta = basis._deltas[f"axis+:{axis}"]
    moved = np.zeros_like(basis.template)
    moved[index] = delta
    return moved


@pytest.fixture(scope="module")
def other():
    """Our own head and three of its axes on a grid of rays round it, in centimetres, turned and shifted."""
    basis = head_basis()
    rest = basis.template - basis.origin
    outside = ("skin", "nose", "neck", "upper_lip", "lower_lip", "right_margin", "left_margin", "torso")
    quads = basis.faces[np.isin(basis.part, [basis.part_names.index(part) for part in outside])]
    mesh = trimesh.Trimesh(rest, np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]), process=False)
    polar, round_ = np.meshgrid(np.linspace(0.5, 2.6, ROWS), np.linspace(-2.2, 2.2, COLUMNS), indexing="ij")
    out = np.stack([np.sin(polar) * np.sin(round_), np.cos(polar), np.sin(polar) * np.cos(round_)], axis=-1)
    centre = np.array([0.0, -20.0, -60.0])
    place, ray, triangle = mesh.ray.intersects_location(centre + 400 * out.reshape(-1, 3), -out.reshape(-1, 3), False)
    share = trimesh.triangles.points_to_barycentric(mesh.triangles[triangle], place)
    number = np.full(ROWS * COLUMNS, -1)
    number[ray] = np.arange(len(ray))
    grid = number.reshape(ROWS, COLUMNS)
    a, b, c, d = (grid[i : i + ROWS - 1, j : j + COLUMNS - 1].ravel() for i, j in ((0, 0), (1, 0), (1, 1), (0, 1)))
    triangles = np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)])
    triangles = triangles[(triangles >= 0).all(axis=1)]
    edges = np.linalg.norm(place[triangles] - place[np.roll(triangles, 1, axis=1)], axis=2)
    triangles = triangles[edges.max(axis=1) < 15]
    marks = topology().rest[ibug68()]
    nearest = np.linalg.norm(place[None] - marks[:, None], axis=2).argmin(axis=1)
    modes = np.stack([(displacement(axis)[mesh.faces[triangle]] * share[..., None]).sum(axis=1) for axis in AXES])
    turn = TURN * np.sign(np.linalg.det(TURN))
    return Other(SCALE * place @ turn.T + SHIFT, triangles, SCALE * modes @ turn.T, nearest)


@pytest.fixture(scope="module")
def made(other):
    return register(other, "the test", "CC0-1.0")


def test_similarity_is_undone():
    points = np.random.default_rng(0).normal(size=(9, 3))
    turn = TURN * np.sign(np.linalg.det(TURN))
    scale, found, shift = similarity(points, 2.5 * points @ turn.T + SHIFT)
    assert scale == pytest.approx(2.5)
    assert np.allclose(found, turn)
    assert np.allclose(shift, SHIFT)


def test_registration_finds_what_each_axis_does_to_our_vertices(made):
    pack, fit = made
    basis = head_basis()
    face = np.unique(basis.faces[np.isin(basis.part, [basis.part_names.index(part) for part in ("skin", "nose")])])
    face = face[(basis.template - basis.origin)[face, 2] > -20]
    assert fit.trusted > 0.6
    assert fit.median_mm < 0.5
    for found, axis in zip(pack.axes, AXES):
        wanted = displacement(axis)[face]
        moves = np.linalg.norm(wanted, axis=1) > 0.3 * np.linalg.norm(wanted, axis=1).max()
        off = np.linalg.norm(found[face] - wanted, axis=1)
        assert np.median(off[moves]) < 0.2 * np.linalg.norm(wanted[moves], axis=1).mean(), axis
        assert np.sqrt((off**2).mean()) < 0.3 * np.sqrt((wanted**2).sum(axis=1).mean()), axis


def test_eyes_go_with_the_lids_and_shoulders_stay(made):
    pack, _ = made
    rest = head_basis().template - head_basis().origin
    assert np.abs(pack.axes[:, rest[:, 1] < -150]).max() == 0
    lids = pack.axes[:, head_basis().rings["left"][1]].mean(axis=1)
    assert np.allclose(pack.eyes[:, 1], lids)


@pytest.fixture
def recipe(made, tmp_path):
    (tmp_path / "heads").mkdir()
    made[0].save(tmp_path / "heads" / "scans.npz")
    (tmp_path / "r.yaml").write_text("scene: face\nhead_folder: heads\nimage: {width: 96, height: 96}\n")
    return Recipe.load(tmp_path / "r.yaml")


def test_people_of_a_recipe_have_the_packs_identities(recipe, made):
    one = sample(recipe, 0, 0)
    head = one.subject.head
    assert head.pack == "scans"
    assert len(head.pack_identity) == 40
    plain = one.replace({"subject.head.pack": "none", "subject.head.identity": [0.0] * len(head.identity)})
    moved = head_basis().neutral(head).vertices - head_basis().neutral(plain.subject.head).vertices
    wanted = np.tensordot(head.pack_identity[:3], made[0].axes, 1)
    shift = np.tensordot(head.pack_identity[:3], made[0].eyes, 1).mean(axis=0)
    assert np.abs(moved - (wanted - shift)).max() < 4 * packs.STEP_MM * 3
    assert not set(axis_weights(head)) - set(axis_weights(plain.subject.head)), "no embedded identity beside it"
    assert sample(recipe, 0, 0) == one
    assert Recipe.from_data(recipe.to_data()).digest == recipe.digest


def test_frames_of_packed_people_pass_their_checks(recipe):
    with MockRenderer() as renderer:
        for index in range(3):
            frame = renderer(sample(recipe, 1, index), recipe.outputs)
            assert not [check for check in check_frame(frame) if not check.ok]


def test_a_recipe_without_packs_is_what_it_was():
    head = sample(Recipe.load("face"), 0, 0).subject.head
    assert (head.pack, head.pack_identity) == ("none", ())


def write_obj(path, vertices, triangles):
    lines = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in vertices]
    lines += [f"f {a}/1 {b}/2 {c}/3" for a, b, c in triangles + 1]
    path.write_text("\n".join(lines), encoding="utf-8")


def test_the_command_makes_a_pack_out_of_obj_files(other, made, tmp_path, capsys):
    write_obj(tmp_path / "neutral.obj", other.vertices, other.triangles)
    for number, mode in enumerate(other.modes):
        write_obj(tmp_path / f"identity{number}.obj", other.vertices + mode, other.triangles)
    (tmp_path / "marks.txt").write_text(" ".join(map(str, other.landmarks)))
    modes = [str(path) for path in sorted(tmp_path.glob("identity*.obj"))]
    command = [
        "head-pack",
        str(tmp_path / "neutral.obj"),
        "--modes",
        *modes,
        "--source",
        "the test",
        "--licence",
        "MIT",
    ]
    out = ["-o", str(tmp_path / "scans.npz")]
    assert main([*command, "--landmarks", str(tmp_path / "marks.txt"), *out]) == DONE
    assert "3 axes" in capsys.readouterr().out
    pack = packs.HeadPack.load(tmp_path / "scans.npz", len(head_basis().template))
    assert (pack.source, pack.licence) == ("the test", "MIT")
    assert np.abs(pack.axes - made[0].axes).max() < 0.1

    (tmp_path / "few.txt").write_text("1 2 3")
    write_obj(tmp_path / "small.obj", other.vertices[:-1], other.triangles[:1])
    (tmp_path / "text.obj").write_text("v 1 2 three")
    bad = [
        ([*command, "--landmarks", str(tmp_path / "few.txt"), *out], "expected 68 vertex numbers"),
        ([*command, "--landmarks", str(tmp_path / "marks.txt"), "-o", str(tmp_path / "x.obj")], "expected NAME.npz"),
        (["head-pack", str(tmp_path / "text.obj"), *command[2:], "--landmarks", "marks.txt", *out], "Wavefront"),
        ([*command[:3], str(tmp_path / "small.obj"), *command[6:], "--landmarks", "m.txt", *out], "shapes of one mesh"),
    ]
    for words, message in bad:
        assert main(words) == MISTAKE
        said = capsys.readouterr().err
        assert message in said
        assert said.count("\n") == 1


def test_shapes_that_do_not_fit_are_refused(other):
    order = np.random.default_rng(0).permutation(other.landmarks)
    with pytest.raises(UserError, match=r"has iBUG's order"):
        register(Other(other.vertices, other.triangles, other.modes, order), "", "")
    patch = other.triangles[np.isin(other.triangles, other.landmarks[27:36]).any(axis=1)]
    with pytest.raises(UserError, match="whole, neutral face"):
        register(Other(other.vertices, patch, other.modes, other.landmarks), "", "")


def test_winding_does_not_matter(other, made):
    inward = Other(other.vertices, other.triangles[:, ::-1], other.modes[:1], other.landmarks)
    assert register(inward, "", "")[1] == made[1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("head_folder: ./nowhere", "is not a folder"),
        ("head_folder: .", r"holds no \.npz file"),
        ("subject: {head: {pack: scans}}", "set it to the folder of your head packs"),
        ("head_folder: heads\nsubject: {head: {pack: scan}}", "did you mean 'scans'"),
    ],
)
def test_recipes_that_name_no_pack_are_refused(recipe, tmp_path, text, message):
    (tmp_path / "bad.yaml").write_text(f"scene: face\n{text}\n")
    with pytest.raises(RecipeError, match=message):
        Recipe.load(tmp_path / "bad.yaml")


def test_damaged_packs_are_named(recipe, tmp_path):
    (tmp_path / "heads" / "scans.npz").write_bytes(b"no pack")
    with pytest.raises(AssetError, match=r"scans\.npz is no head pack"):
        head_basis().neutral(sample(recipe, 0, 5).subject.head)
    np.savez(tmp_path / "heads" / "scans.npz", format="facewright head pack 1", source="", licence="",
             axes=np.zeros((1, 9, 3), np.int16), eyes=np.zeros((1, 2, 3)))  # fmt: skip
    with pytest.raises(AssetError, match="another head"):
        head_basis().neutral(sample(recipe, 0, 5).subject.head)
    lone = sample(recipe, 0, 0).replace({"subject.head.pack": "elsewhere"})
    with pytest.raises(AssetError, match="load the recipe whose head_folder holds it"):
        head_basis().neutral(lone.subject.head)
