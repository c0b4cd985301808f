"""Readers of real data sets: small sets in the true formats, and our own exports read back."""

import io
import json
import math

import numpy as np
import pytest
from PIL import Image

import facewright.dataset
from facewright import cli
from facewright.errors import DatasetError, UserError
from facewright.exports.view import eye_ids, public_ids
from facewright.schema import CELEBAMASK_HQ, LAPA
from facewright.truth import direction, pitch_yaw
from facewright_refiner.readers import READERS, open_real
from facewright_refiner.readers.pts import read_points

h5py = pytest.importorskip("h5py")
scipy_io = pytest.importorskip("scipy.io")
from scipy.spatial.transform import Rotation  # noqa: E402

OPEN = ["expression.blink=0", "expression.wink=0", "expression.mood=neutral"]


def save(path, array, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(array, np.uint8)).save(path, **options)


def noise(height=12, width=12, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def generate(folder, recipe, count, *changes):
    settings = [part for change in (*changes, *OPEN) for part in ("--set", change)]
    call = ["generate", recipe, "-o", folder, "--count", count, "--renderer", "mock", *settings]
    assert cli.main([str(part) for part in call]) == 0
    return folder


def export(source, name, out):
    assert cli.main(["export", str(source), "--as", name, "-o", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    changes = ["image.width=256", "image.height=256", "frames_per_subject=2"]
    return generate(tmp_path_factory.mktemp("faces") / "d", "face", 3, *changes)


@pytest.fixture(scope="module")
def eyes(tmp_path_factory):
    return generate(tmp_path_factory.mktemp("eyes") / "d", "mpiigaze", 4, "frames_per_subject=2")


@pytest.fixture(scope="module")
def near(tmp_path_factory):
    return generate(tmp_path_factory.mktemp("near") / "d", "nvgaze", 3, "image.width=160", "image.height=120")


# True formats


def test_mpiigaze_mirrors_right_eyes_and_keeps_to_the_sample_list(tmp_path):
    gaze = {side: direction(0.1, yaw) for side, yaw in (("left", 0.2), ("right", -0.3))}
    image = np.arange(2 * 36 * 60, dtype=np.uint32).reshape(2, 36, 60).astype(np.uint8)
    pose = Rotation.from_euler("y", 0.4).as_rotvec()
    data = {
        side: {"image": image, "gaze": np.stack([g, g]), "pose": np.stack([pose, pose])} for side, g in gaze.items()
    }
    names = np.array(["0001.jpg", "0002.jpg"], dtype=object)[:, None]
    place = tmp_path / "Data/Normalized/p03"
    place.mkdir(parents=True)
    scipy_io.savemat(place / "day01.mat", {"data": data, "filenames": names})
    assert len(open_real(tmp_path)) == 4
    chosen = tmp_path / "Evaluation Subset/sample list for eye image/p03.txt"
    chosen.parent.mkdir(parents=True)
    chosen.write_text("day01/0001.jpg left\nday01/0002.jpg right\n")
    left, right = real = open_real(tmp_path)
    assert [entry.group for entry in real.entries] == ["p03", "p03"]
    np.testing.assert_allclose(left.gaze, (0.1, 0.2), atol=1e-9)
    np.testing.assert_allclose(right.gaze, (0.1, 0.3), atol=1e-9)
    np.testing.assert_array_equal(left.picture[..., 0], image[0])
    np.testing.assert_array_equal(right.picture[..., 2], image[1, :, ::-1])
    np.testing.assert_allclose(left.head, (0, 0.4), atol=1e-9)
    np.testing.assert_allclose(right.head, (0, -0.4), atol=1e-9)


def test_mpiifacegaze_and_eth_xgaze_are_bgr(tmp_path):
    bgr = noise(8, 8)
    with h5py.File(tmp_path / "p00.mat", "w") as file:
        file["Data/data"] = bgr.transpose(2, 0, 1)[None].astype(np.float32)
        file["Data/label"] = np.array([[0.1, -0.2, 0.3, 0.4, *range(12)]])
    [item] = open_real(tmp_path)
    np.testing.assert_array_equal(item.picture, bgr[..., ::-1])
    np.testing.assert_allclose(item.gaze, (0.1, -0.2))
    np.testing.assert_allclose(item.head, (0.3, 0.4))
    other = tmp_path / "eth"
    (other / "train").mkdir(parents=True)
    with h5py.File(other / "train/subject0007.h5", "w") as file:
        file["face_patch"], file["face_gaze"] = bgr[None], np.array([[0.1, -0.2]])
        file["face_head_pose"] = np.array([[0.3, 0.4]])
    real = open_real(other)
    assert real.entries[0].group == "subject0007"
    np.testing.assert_array_equal(real[0].picture, bgr[..., ::-1])
    np.testing.assert_allclose(real[0].gaze, (0.1, -0.2))


def test_unityeyes_gaze_and_outlines(tmp_path):
    save(tmp_path / "imgs/1.jpg", noise(60, 80))

    def ring(cx, cy, r):
        turn = np.linspace(0, 2 * math.pi, 16, endpoint=False)
        return [f"({cx + r * math.cos(t):.4f}, {cy + r * math.sin(t):.4f}, 9.6)" for t in turn]

    data = {"eye_details": {"look_vec": "(0.1987, 0.0998, -0.9750, 0.0000)"}}
    data |= {"interior_margin_2d": ring(40, 20, 18), "caruncle_2d": ring(20, 20, 1), "iris_2d": ring(40, 20, 8)}
    (tmp_path / "imgs/1.json").write_text(json.dumps(data))
    [item] = open_real(tmp_path)
    pitch, yaw = item.gaze
    assert pitch == pytest.approx(math.asin(0.0998), abs=1e-3)
    assert yaw == pytest.approx(math.atan2(-0.1987, 0.9750), abs=1e-3)  # looks to image-right: negative
    assert item.seg[40, 40] == 2  # twenty from below
    assert item.seg[40, 26] == 1
    assert item.seg[20, 40] == 0


def test_openeds_labels_are_numpy_files(tmp_path):
    ids = np.array([[0, 1], [2, 3]], np.uint8)
    for split in ("train", "validation"):
        save(tmp_path / f"{split}/images/0001.png", noise(2, 2)[..., 0])
        (tmp_path / f"{split}/labels").mkdir()
        np.save(tmp_path / f"{split}/labels/0001.npy", ids)
    real = open_real(tmp_path)
    assert (real.convention, [entry.split for entry in real.entries]) == ("openeds", ["train", "validation"])
    np.testing.assert_array_equal(real[0].seg, ids)


def test_nvgaze_colours_become_ids_at_smoothed_edges_too(tmp_path):
    save(tmp_path / "type_img_frame_0001.png", noise(1, 6)[..., 0])
    colours = [[0, 0, 0], [255, 0, 0], [255, 210, 0], [250, 250, 10], [10, 250, 0], [255, 225, 0]]
    save(tmp_path / "type_maskWithSkin_frame_0001.png", [colours])
    [item] = open_real(tmp_path)
    assert item.gaze is None
    np.testing.assert_array_equal(item.seg, [[0, 0, 1, 2, 3, 1]])


def test_celebamask_hq_parts_are_laid_over_each_other_in_the_official_order(tmp_path):
    save(tmp_path / "CelebA-HQ-img/2001.jpg", noise(8, 8))
    place = tmp_path / "CelebAMask-HQ-mask-anno/1"
    skin, nose = np.zeros((4, 4, 3)), np.zeros((4, 4, 3))
    skin[1:], nose[2:, :2] = 255, 255
    save(place / "02001_skin.png", skin)
    save(place / "02001_nose.png", nose)
    [item] = open_real(tmp_path)
    assert item.seg.shape == (8, 8)
    assert [item.seg[y, x] for y, x in ((0, 0), (3, 7), (7, 0))] == [0, 1, 2]
    assert CELEBAMASK_HQ[2] == "nose"


def test_lapa_and_folders_of_masks(tmp_path):
    ids = np.array([[0, 4], [5, 10]], np.uint8)
    for split in ("train", "test"):
        save(tmp_path / f"lapa/{split}/images/a.jpg", noise(2, 2))
        save(tmp_path / f"lapa/{split}/labels/a.png", ids)
    real = open_real(tmp_path / "lapa")
    assert (real.format, real.classes[4], len(real.split("test"))) == ("lapa", "left_eye", 1)
    np.testing.assert_array_equal(real[0].seg, ids)

    palette = Image.new("P", (2, 2))
    palette.putdata(ids.ravel().tolist())
    palette.putpalette(list(range(256)) * 3)
    for name in ("r2", "r10"):
        save(tmp_path / f"own/dev/images/{name}.jpg", noise(2, 2))
        (tmp_path / "own/dev/masks").mkdir(exist_ok=True)
        palette.save(tmp_path / f"own/dev/masks/{name}.png")
    (tmp_path / "own/groups.csv").write_text("file,group\nr2.jpg,first\nr10.jpg,first\n")
    real = open_real(tmp_path / "own", "masks:lapa")
    assert [(entry.name, entry.group, entry.split) for entry in real.entries] == [
        ("dev/images/r2.jpg", "first", "test"),
        ("dev/images/r10.jpg", "first", "test"),
    ]
    np.testing.assert_array_equal(real[1].seg, ids)


def test_helen_takes_the_strongest_of_its_soft_masks(tmp_path):
    save(tmp_path / "images/232194_1.jpg", noise(1, 2))
    for number in range(len(LAPA)):
        soft = np.zeros((1, 2))
        soft[0, 0], soft[0, 1] = (200 if number == 1 else 55), (128 if number == 10 else 100)
        save(tmp_path / f"labels/232194_1/232194_1_lbl{number:02d}.png", soft)
    (tmp_path / "testing.txt").write_text("12 , 232194_1\n")
    real = open_real(tmp_path)
    np.testing.assert_array_equal(real[0].seg, [[1, 10]])
    assert (real.entries[0].split, real.classes[10]) == ("test", "hair")


def test_300w_counts_pixels_from_one(tmp_path):
    points = np.random.default_rng(0).uniform(1, 40, (68, 2)).round(3)
    for name in ("lfpw/trainset/image_0001", "ibug/image_003"):
        save(tmp_path / f"{name}.jpg", noise(40, 40))
        body = "\n".join(f"{x:.6f} {y:.6f}" for x, y in points)
        (tmp_path / f"{name}.pts").write_text(f"version: 1\nn_points:  68\n{{\n{body}\n}}\n")
    real = open_real(tmp_path)
    assert sorted((entry.name, entry.split) for entry in real.entries) == [
        ("ibug/image_003", "test"),
        ("lfpw/trainset/image_0001", "train"),
    ]
    np.testing.assert_allclose(real[0].landmarks, points - 0.5)


# Our exports, read back


def test_our_mpiigaze_says_what_the_truth_says(eyes, tmp_path):
    real = open_real(export(eyes, "mpiigaze", tmp_path / "out"))
    assert (real.format, len(real), real[0].picture.shape) == ("mpiigaze", 4, (36, 60, 3))
    with h5py.File(tmp_path / "out/MPIIGaze.h5") as file:
        loaded = np.concatenate([file[person]["gaze"][:] for person in sorted(file)])
        pictures = np.concatenate([file[person]["image"][:] for person in sorted(file)])
    order = np.argsort(loaded[:, 0])
    mine = np.array([item.gaze for item in real])
    np.testing.assert_allclose(mine[np.argsort(mine[:, 0])], loaded[order], atol=1e-6)
    seen = np.array([item.picture[..., 0] for item in real])
    np.testing.assert_array_equal(seen[np.argsort(mine[:, 0])], pictures[order])


def test_our_faces_come_back_through_every_layout(faces, tmp_path):
    frames = list(facewright.dataset.open(faces))
    celeba = open_real(export(faces, "celebamask_hq", tmp_path / "c"))
    lapa = open_real(export(faces, "lapa", tmp_path / "l"))
    own = open_real(faces, convention="celebamask_hq")
    assert [real.format for real in (celeba, lapa, own)] == ["celebamask_hq", "lapa", "facewright"]
    assert [entry.group for entry in own.entries] == ["subject0", "subject0", "subject1"]
    for frame, item, mine in zip(frames, celeba, own, strict=True):
        np.testing.assert_array_equal(item.seg, public_ids(frame.seg, "celebamask_hq"))
        np.testing.assert_array_equal(mine.seg, item.seg)
        np.testing.assert_array_equal(mine.picture, frame.rgb)
        np.testing.assert_allclose(mine.gaze, pitch_yaw(frame.truth.gaze))
        np.testing.assert_allclose(mine.landmarks, frame.truth.landmarks_contour_2d)
    ids = {item.name: item.seg for item in lapa}
    np.testing.assert_array_equal(ids["000001"], public_ids(frames[1].seg, "lapa"))


def test_our_eyes_come_back_through_every_layout(near, tmp_path):
    frames = list(facewright.dataset.open(near))
    for name in ("nvgaze", "openeds"):
        real = open_real(export(near, name, tmp_path / name))
        assert (real.format, len(real)) == (name, len(frames))
        found = {item.seg.tobytes() for item in real}
        wanted = {eye_ids(f.seg, f.truth.target.removesuffix("_eye")).tobytes() for f in frames}
        assert found == wanted
    gaze = [item.gaze for item in open_real(tmp_path / "nvgaze")]
    wanted = [pitch_yaw(frame.truth.gaze) for frame in frames]
    np.testing.assert_allclose(gaze, wanted, atol=1e-5)


def test_our_unityeyes_gaze_is_the_optical_axis(near, tmp_path):
    frames = list(facewright.dataset.open(near))
    numbers = iter(open_real(export(near, "unityeyes", tmp_path / "u")))
    exported = [json.loads(path.read_text()) for path in sorted((tmp_path / "u/imgs").glob("*.json"))]
    by_index = {frame.sample.index: frame for frame in frames}
    for data, item in zip(exported, numbers, strict=True):
        frame, side = by_index[int(data["facewright"]["index"])], data["facewright"]["side"]
        pitch, yaw = pitch_yaw(frame.truth.eyes[side].optical_axis)
        np.testing.assert_allclose(item.gaze, (pitch, -yaw if side == "right" else yaw), atol=3e-4)
        seen = frame.seg[:, ::-1] if side == "right" else frame.seg
        iris = np.isin(eye_ids(seen, side), (2, 3))
        assert (iris & (item.seg == 2)).sum() >= 0.85 * iris.sum()


# Mistakes


@pytest.mark.parametrize("name", READERS)
def test_a_folder_of_something_else_is_refused_in_one_sentence(name, tmp_path):
    with pytest.raises(DatasetError) as error:
        open_real(tmp_path, name)
    assert "\n" not in str(error.value)
    assert str(tmp_path) in str(error.value)


def test_mistakes_say_what_where_and_what_to_do(tmp_path):
    with pytest.raises(UserError, match=r"no format 'lapaa'.*lapa"):
        open_real(tmp_path, "lapaa")
    with pytest.raises(DatasetError, match="no such folder"):
        open_real(tmp_path / "nowhere")
    save(tmp_path / "images/a.jpg", noise())
    save(tmp_path / "masks/a.png", np.full((12, 12), 40))
    with pytest.raises(UserError, match="say what its ids mean"):
        open_real(tmp_path)
    real = open_real(tmp_path, "masks:lapa")
    with pytest.raises(DatasetError, match=r"a\.png.*class id 40.*11 classes"):
        real[0]
    (tmp_path / "masks/a.png").write_bytes(b"not a picture")
    with pytest.raises(DatasetError, match=r"a\.png.*not a readable picture"):
        real[0]
    save(tmp_path / "masks/a.png", np.zeros((12, 20)))
    with pytest.raises(DatasetError, match="20 x 12, and its picture 12 x 12"):
        real[0]
    (tmp_path / "masks/a.png").unlink()
    with pytest.raises(DatasetError, match=r"a\.jpg.*has no mask"):
        open_real(tmp_path, "masks:lapa")


def test_damaged_containers_are_named(tmp_path):
    (tmp_path / "p00.mat").write_bytes(b"nothing")
    with pytest.raises(DatasetError, match=r"p00\.mat: is not a person"):
        open_real(tmp_path)
    place = tmp_path / "m/Data/Normalized/p00"
    place.mkdir(parents=True)
    (place / "day01.mat").write_bytes(b"nothing")
    with pytest.raises(DatasetError, match=r"day01\.mat: is not a day"):
        open_real(tmp_path / "m")
    (tmp_path / "x.pts").write_text("version: 1\n{\n1 2\n3\n}\n")
    with pytest.raises(DatasetError, match=r"x\.pts: holds 1\.5 points"):
        read_points(tmp_path / "x.pts")
    labels = tmp_path / "o/train/labels"
    labels.mkdir(parents=True)
    save(tmp_path / "o/train/images/1.png", noise())
    file = io.BytesIO()
    np.save(file, np.array([{}], dtype=object))
    (labels / "1.npy").write_bytes(file.getvalue())
    with pytest.raises(DatasetError, match=r"1\.npy: is not a readable"):
        open_real(tmp_path / "o")[0]
