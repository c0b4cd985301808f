"""Exports of rendered faces, read back with the formats' own public tools or by their documentation."""

import csv
import io
import json
import logging
import sys

import numpy as np
import pytest
from PIL import Image

import facewright.dataset
from facewright import Recipe, cli, sample
from facewright.check import check_frame
from facewright.dataset.card import Card
from facewright.dataset.writer import open_for_writing
from facewright.exports.w300_lp import euler
from facewright.geometry.rotations import about, head_rotation
from facewright.schema import BISENET, CELEBAMASK_HQ, FACESYNTHETICS, LAPA, VERSION, Label
from facewright.truth import HeadPose

SIZE = 160
RECIPE = Recipe.load(
    "face",
    [
        f"image.width={SIZE}",
        f"image.height={SIZE}",
        "image.samples=1",
        "image.denoise=false",
        "subject.wear.glasses.kind=clear",
        "subject.hair.style=medium",
        "subject.wear.hat.kind=none",
        "frames_per_subject=1",
    ],
)


@pytest.fixture(scope="module")
def folder(cycles, tmp_path_factory):
    """A dataset of three rendered wearers of glasses."""
    place = tmp_path_factory.mktemp("faces") / "d"
    with open_for_writing(place, Card.of(RECIPE, 3).extended(0, 3)) as writer:
        for index in range(3):
            made = cycles(sample(RECIPE, 3, index), ("seg",))
            made.checks = check_frame(made)
            writer.write(made)
    return place


@pytest.fixture(scope="module")
def frames(folder):
    return list(facewright.dataset.open(folder))


def export(folder, name, out):
    assert cli.main(["export", str(folder), "--as", name, "-o", str(out)]) == 0
    return out


def read(path):
    with Image.open(path) as picture:
        return np.array(picture)


def test_celebamask_hq_becomes_ids_as_both_public_loaders_make_them(folder, frames, tmp_path):
    """The official g_mask.py reads channel 0; zllrunning's loader looks for 225 after conversion to a palette."""
    out = export(folder, "celebamask_hq", tmp_path / "out")
    places = (np.arange(512) * SIZE + SIZE // 2) // 512
    for k, frame in enumerate(frames):
        assert read(out / f"CelebA-HQ-img/{k}.jpg").shape == (SIZE, SIZE, 3)
        official, bisenet = np.zeros((512, 512), int), np.zeros((512, 512), int)
        for path in (out / f"CelebAMask-HQ-mask-anno/{k // 2000}").glob(f"{k:05d}_*.png"):
            part = path.stem.partition("_")[2]
            official[read(path)[:, :, 0] != 0] = CELEBAMASK_HQ.index(part)
            with Image.open(path) as picture:
                bisenet[np.array(picture.convert("P")) == 225] = BISENET.index(part)
        seg = frame.seg[places[:, None], places]
        assert {CELEBAMASK_HQ[n] for n in np.unique(official)} >= {
            "background",
            "skin",
            "nose",
            "hair",
            "eye_g",
            "cloth",
        }
        for label, part in {
            Label.HAIR: "hair",
            Label.GLASSES_FRAME: "eye_g",
            Label.LEFT_EAR: "l_ear",
            Label.NOSE: "nose",
        }.items():
            inside = seg == label
            assert (official[inside] == CELEBAMASK_HQ.index(part)).all()
            assert (bisenet[inside] == BISENET.index(part)).all()
        assert [CELEBAMASK_HQ[n] for n in official.ravel()] == [BISENET[n] for n in bisenet.ravel()]


def test_lapa_and_facesynthetics_hold_the_mapped_ids(folder, frames, tmp_path):
    lapa, synthetic = export(folder, "lapa", tmp_path / "lapa"), export(folder, "facesynthetics", tmp_path / "fs")
    for k, frame in enumerate(frames):
        (labels,) = lapa.glob(f"*/labels/{k:06d}.png")
        assert labels.parents[1].name in ("train", "val", "test")
        assert (labels.parents[1] / f"images/{k:06d}.jpg").exists()
        ids, other = read(labels), read(synthetic / f"{k:06d}_seg.png")
        assert ids.shape == other.shape == frame.seg.shape
        for label, mine, theirs in (
            (Label.HAIR, "hair", "hair"),
            (Label.LEFT_BROW, "left_eyebrow", "left_brow"),
            (Label.RIGHT_IRIS, "right_eye", "right_eye"),
            (Label.LOWER_LIP, "lower_lip", "bottom_lip"),
            (Label.GLASSES_FRAME, "background", "glasses"),
            (Label.CLOTH, "background", "clothing"),
        ):
            inside = frame.seg == label
            assert (ids[inside] == LAPA.index(mine)).all()
            assert (other[inside] == FACESYNTHETICS.index(theirs)).all()
        assert (read(synthetic / f"{k:06d}.png") == frame.rgb).all()
        points = np.loadtxt(synthetic / f"{k:06d}_ldmks.txt")
        assert points.shape == (70, 2)
        assert points[:68] + 0.5 == pytest.approx(frame.truth.landmarks_2d, abs=1e-3)
        for row, side in ((68, "right"), (69, "left")):
            assert points[row] + 0.5 == pytest.approx(frame.truth.eyes[side].pupil.centre, abs=1e-3)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools with numpy 2
def test_coco_is_read_by_pycocotools(folder, frames, tmp_path, capsys):
    coco_module = pytest.importorskip("pycocotools.coco")
    cocoeval = pytest.importorskip("pycocotools.cocoeval")
    out = export(folder, "coco", tmp_path / "out")
    parts = coco_module.COCO(str(out / "annotations/instances.json"))
    faces = coco_module.COCO(str(out / "annotations/person_keypoints.json"))
    names = faces.loadCats([1])[0]["keypoints"]
    assert len(names) == len(set(names)) == 70
    assert (names[36], names[68]) == ("right_eye_0", "right_pupil")
    for frame, image in zip(frames, parts.loadImgs(sorted(parts.getImgIds())), strict=True):
        assert (read(out / "images" / image["file_name"]) == frame.rgb).all()
        drawn = np.zeros_like(frame.seg)
        for annotation in parts.loadAnns(parts.getAnnIds(imgIds=[image["id"]])):
            mask = parts.annToMask(annotation).astype(bool)
            assert annotation["area"] == mask.sum()
            drawn[mask] = annotation["category_id"]
            assert (
                parts.loadCats([annotation["category_id"]])[0]["name"] == Label(annotation["category_id"]).name.lower()
            )
        np.testing.assert_array_equal(drawn, frame.seg)
        (face,) = faces.loadAnns(faces.getAnnIds(imgIds=[image["id"]]))
        points = np.array(face["keypoints"]).reshape(70, 3)
        inside = points[:, 2] > 0
        assert face["num_keypoints"] == inside.sum()
        assert points[inside, :2] + 0.5 == pytest.approx(frame.truth.points["face70"].seen_2d[inside], abs=1e-2)
        assert ((points[:, 2] == 2) == (frame.truth.points["face70"].visible & inside)).all()
        x, y, width, height = face["bbox"]
        assert (x, y, x + width, y + height) == pytest.approx(tuple(frame.truth.face_box), abs=1e-2)
    score = perfect_score(parts, cocoeval)
    assert score == pytest.approx(1.0)
    capsys.readouterr()


def perfect_score(truth, cocoeval):
    """Return pycocotools' mask AP of the annotations against themselves."""
    found = [annotation | {"score": 1.0} for annotation in truth.dataset["annotations"]]
    evaluation = cocoeval.COCOeval(truth, truth.loadRes(found), "segm")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation.stats[0]


def matrix_3ddfa(pitch, yaw, roll):
    """Return Rx Ry Rz with 3DDFA's matrices, which are transposes of right-handed ones."""
    x, y, z = np.eye(3)
    return about(x, -pitch) @ about(y, -yaw) @ about(z, -roll)


def test_300w_lp_is_read_by_scipy_and_its_pose_turns_the_head(folder, frames, tmp_path):
    scipy_io = pytest.importorskip("scipy.io")
    out = export(folder, "300w_lp", tmp_path / "out")
    for k, frame in enumerate(frames):
        data = scipy_io.loadmat(out / f"image{k:05d}.mat")
        truth = frame.truth
        pitch, yaw, roll, *_, scale = data["Pose_Para"][0]
        rotation = np.diag([1, -1, -1]) @ matrix_3ddfa(pitch, yaw, roll)
        np.testing.assert_allclose(rotation, truth.head.rotation, atol=1e-9)
        assert data["pt2d"].shape == (2, 68)
        assert data["pt3d_68"].shape == (3, 68)
        assert data["roi"].shape == (1, 4)
        np.testing.assert_allclose(data["pt3d_68"][:2].T + 0.5, truth.landmarks_2d)
        np.testing.assert_allclose(data["pt2d"].T + 0.5, truth.landmarks_contour_2d)
        nose, ear = data["pt3d_68"][2, 30], data["pt3d_68"][2, 0]
        assert nose > ear, "the depth grows toward the camera"
        between = np.linalg.norm(truth.landmarks_3d_mm[36] - truth.landmarks_3d_mm[45])
        assert np.linalg.norm(np.diff(data["pt3d_68"][:, [36, 45]])) == pytest.approx(scale * between, rel=0.15)


@pytest.mark.parametrize(
    ("angles", "sign"), [((0, 20, 0), (1, 0, 0)), ((20, 0, 0), (0, 1, 0)), ((0, 0, 20), (0, 0, 1))]
)
def test_300w_lp_signs_of_single_turns(angles, sign):
    """+pitch up, +yaw to image-left, +roll clockwise: one turn alone has our angle; `angles` are pitch, yaw, roll."""
    pitch, yaw, roll = np.radians(angles)
    rotation = np.diag([1.0, -1.0, -1.0]) @ head_rotation(yaw, pitch, roll)
    assert euler(rotation) == pytest.approx((pitch, yaw, roll), abs=1e-12)
    forward, right = rotation[:, 2], rotation[:, 0]
    if sign[0]:
        assert forward[0] < -0.3, "+yaw: the nose goes to image-left"
    elif sign[1]:
        assert forward[1] < -0.3, "+pitch: the nose goes up"
    else:
        assert right[1] > 0.3, "+roll: clockwise, the image-right side goes down"


def test_head_angles_and_300w_lps_are_other_numbers_of_one_rotation():
    rotation = np.diag([1.0, -1.0, -1.0]) @ head_rotation(0.5, 0.4, 0.1)
    pose = HeadPose(rotation, np.array([0, 0, 600.0]), *np.degrees([0.5, 0.4, 0.1]))
    pitch, yaw, roll = euler(pose.rotation)
    assert abs(yaw - 0.5) > 0.02
    np.testing.assert_allclose(np.diag([1, -1, -1]) @ matrix_3ddfa(pitch, yaw, roll), rotation, atol=1e-12)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of rdflib, by mlcroissant
def test_parquet_and_croissant_are_read_by_pyarrow_and_mlcroissant(folder, frames, tmp_path, caplog):
    parquet = pytest.importorskip("pyarrow.parquet")
    out = export(folder, "huggingface", tmp_path / "out")
    table = parquet.read_table(out / "data/train-00000-of-00001.parquet")
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert list(features) == table.column_names
    assert features["image"] == {"_type": "Image"}
    for frame, row in zip(frames, table.to_pylist(), strict=True):
        assert (np.array(Image.open(io.BytesIO(row["image"]["bytes"]))) == frame.rgb).all()
        assert (np.array(Image.open(io.BytesIO(row["seg"]["bytes"]))) == frame.seg).all()
        assert np.array_equal(row["landmarks_2d"], frame.truth.landmarks_2d)
        assert np.array_equal(row["landmarks_contour_2d"], frame.truth.landmarks_contour_2d)
        assert {name: row[name] for name in frame.attributes} == frame.attributes
    mlcroissant = pytest.importorskip("mlcroissant")
    with caplog.at_level(logging.ERROR):
        described = mlcroissant.Dataset(jsonld=str(out / "croissant.json"))
    assert not described.metadata.ctx.issues.errors
    records = list(described.records("faces"))
    assert len(records) == len(frames)
    for frame, record in zip(frames, records, strict=True):
        assert (np.array(record["faces/image"]) == frame.rgb).all()
        assert record["faces/subject.head.age_years"] == frame.sample.subject.head.age_years
        assert record["faces/identity"].decode() == frame.attributes["identity"]


def test_the_attribute_table_is_read_by_csv(folder, frames, tmp_path):
    out = export(folder, "attributes", tmp_path / "out")
    with (out / "attributes.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for frame, row in zip(frames, rows, strict=True):
        assert row == {name: str(value) for name, value in frame.attributes.items()}
        assert float(row["occluded_glasses_frame"]) > 0


@pytest.mark.parametrize(
    ("name", "module"), [("coco", "pycocotools.mask"), ("huggingface", "pyarrow"), ("300w_lp", "scipy.io")]
)
def test_a_missing_package_is_one_sentence(folder, tmp_path, capsys, monkeypatch, name, module):
    monkeypatch.setitem(sys.modules, module, None)
    assert cli.main(["export", str(folder), "--as", name, "-o", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    root = module.partition(".")[0]
    assert said == f"facewright: exporting as {name} needs the package {root}; run `python -m pip install {root}`"
    assert not (tmp_path / "out").exists()


def test_pictures_of_eyes_are_refused_and_oblong_ones_left_out(tmp_path, capsys):
    eyes, oblong = tmp_path / "eyes", tmp_path / "oblong"
    sizes = {"eyes": ("eye_rgb", eyes), "oblong": ("face", oblong)}
    for recipe, place in sizes.values():
        change = ["--set", "image.width=64", "--set", "image.height=48"]
        assert cli.main(["generate", recipe, "-o", str(place), "--count", "1", "--renderer", "mock", *change]) == 0
    for name in ("celebamask_hq", "lapa", "facesynthetics", "coco", "300w_lp", "huggingface"):
        assert cli.main(["export", str(eyes), "--as", name, "-o", str(tmp_path / name)]) == 2
        assert f"{name} needs whole faces; generate with the recipe face" in capsys.readouterr().err.splitlines()[-1]
    assert cli.main(["export", str(oblong), "--as", "celebamask_hq", "-o", str(tmp_path / "out")]) == 2
    assert "nothing in it suits celebamask_hq (1 picture not square)" in capsys.readouterr().err


def test_a_dataset_of_an_older_contract_is_one_sentence(tmp_path, capsys):
    place = tmp_path / "d"
    change = ["--set", "image.width=64", "--set", "image.height=48"]
    assert cli.main(["generate", "face", "-o", str(place), "--count", "1", "--renderer", "mock", *change]) == 0
    card = json.loads((place / "dataset.json").read_text())
    del card["sha256"]  # of a card that says another version
    (place / "dataset.json").write_text(json.dumps(card | {"schema": "1.0"}))
    capsys.readouterr()
    assert cli.main(["export", str(place), "--as", "lapa", "-o", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert f"its labels are version 1.0 of the contract, this Facewright reads {VERSION}" in said
