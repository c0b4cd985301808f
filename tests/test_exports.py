"""Exports are read back as other people's loaders read them, and say what the truth says."""

import ast
import csv
import json
import math
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import facewright.dataset
from facewright import cli
from facewright.dataset.layout import encode_layer, layer_file
from facewright.dataset.writer import record_of, reopen
from facewright.exports import FORMATS, eth_xgaze, mpiigaze, normalisation, openeds, unityeyes
from facewright.exports.view import View, eye_ids, sides, split_of
from facewright.geometry.rotations import head_rotation
from facewright.schema import side_label
from facewright.truth import direction, pitch_yaw

h5py = pytest.importorskip("h5py")
scipy_io = pytest.importorskip("scipy.io")
pytest.importorskip("pycocotools")
pytest.importorskip("pyarrow")
from scipy.ndimage import map_coordinates  # noqa: E402
from scipy.spatial.transform import Rotation  # noqa: E402

PAGE = (Path(__file__).parents[1] / "docs/exports.md").read_text(encoding="utf-8")
STILL = ["pose.head_yaw_deg=0", "pose.head_pitch_deg=0", "pose.head_roll_deg=0", "camera.roll_deg=0"]
FRONTAL = [*STILL, "camera.azimuth_deg=0", "camera.elevation_deg=0", "camera.shift_x=0", "camera.shift_y=0"]
OPEN = ["expression.blink=0", "expression.wink=0", "expression.mood=neutral"]
HALF = ["image.width=320", "image.height=240"]


def run(*arguments):
    return cli.main([str(argument) for argument in arguments])


def generate(folder, recipe, count, *changes):
    settings = [part for change in changes for part in ("--set", change)]
    assert run("generate", recipe, "-o", folder, "--count", count, "--renderer", "mock", *settings) == 0
    return folder


def export(source, name, out, *options):
    assert run("export", source, "--as", name, "-o", out, *options) == 0
    return out


def mistake(capsys, *arguments):
    """Return the last line on stderr of a command that must end with code 2."""
    capsys.readouterr()
    assert run(*arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "Traceback" not in shown.err
    return shown.err.splitlines()[-1]


@pytest.fixture(scope="session")
def webcam(tmp_path_factory):
    """Six pictures of eyes of two persons."""
    return generate(tmp_path_factory.mktemp("webcam") / "d", "mpiigaze", 6, "frames_per_subject=3", *OPEN)


@pytest.fixture(scope="session")
def faces(tmp_path_factory):
    changes = ["image.width=256", "image.height=256", "frames_per_subject=2", *OPEN]
    return generate(tmp_path_factory.mktemp("faces") / "d", "face", 4, *changes)


@pytest.fixture(scope="session")
def near(tmp_path_factory):
    """Near-eye pictures of four persons."""
    return generate(tmp_path_factory.mktemp("near") / "d", "nvgaze", 6, *HALF, *OPEN)


@pytest.fixture(scope="session")
def remote(tmp_path_factory):
    return generate(tmp_path_factory.mktemp("remote") / "d", "eye_rgb", 6, *HALF, *OPEN)


def source_of(name, webcam, faces, near, remote):
    """Return a dataset that suits the format `name`."""
    eyes = {"mpiigaze": webcam, "unityeyes": remote, "openeds": near, "nvgaze": near, "teyed": near}
    return eyes.get(name, faces)


def read(path):
    """Return the array of a picture file."""
    with Image.open(path) as picture:
        return np.array(picture)


def frames(folder):
    return list(facewright.dataset.open(folder))


def target_side(frame):
    return frame.truth.target.removesuffix("_eye")


# UnityEyes


def unity_eyes(out):
    """Yield picture (H, W, 3), JSON, and points with y downward, as GazeML and others read UnityEyes."""
    for number in range(1, 1 + len(list((out / "imgs").glob("*.jpg")))):
        picture = read(out / f"imgs/{number}.jpg")
        data = json.loads((out / f"imgs/{number}.json").read_text())
        points = {
            name: np.array([(x, len(picture) - y, z) for x, y, z in map(ast.literal_eval, data[name])])
            for name in ("interior_margin_2d", "caruncle_2d", "iris_2d")
        }
        yield picture, data, points


def gazeml_pitch_yaw(look_vec):
    """Return (pitch, yaw) as GazeML's loader derives it."""
    x, y, z, _ = ast.literal_eval(look_vec)
    pitch, yaw = math.asin(y / math.hypot(x, y, z)), math.atan2(-x, z)
    return pitch, math.pi - yaw if yaw > 0 else -(math.pi + yaw)


def test_unityeyes_gaze_is_the_optical_axis_with_right_eyes_mirrored(remote, tmp_path):
    out = export(remote, "unityeyes", tmp_path / "out")
    seen = set()
    for frame, (_, data, _) in zip(frames(remote), unity_eyes(out), strict=True):
        side = target_side(frame)
        seen.add(side)
        pitch, yaw = pitch_yaw(frame.truth.eyes[side].optical_axis)
        read = gazeml_pitch_yaw(data["eye_details"]["look_vec"])
        np.testing.assert_allclose(read, (pitch, -yaw if side == "right" else yaw), atol=2e-4)
        pitch, yaw = pitch_yaw(frame.truth.eyes[side].visual_axis)
        read = gazeml_pitch_yaw(data["eye_details"]["visual_vec"])
        np.testing.assert_allclose(read, (pitch, -yaw if side == "right" else yaw), atol=2e-4)
    assert seen == {"left", "right"}


def test_unityeyes_points_land_where_the_picture_shows_them(remote, tmp_path):
    out = export(remote, "unityeyes", tmp_path / "out")
    for frame, (picture, data, points) in zip(frames(remote), unity_eyes(out), strict=True):
        side = target_side(frame)
        flip = np.s_[:, ::-1] if side == "right" else np.s_[:, :]
        seg, rgb, anatomical = frame.seg[flip], frame.rgb[flip], frame.seg_anatomical[flip]
        assert abs(picture.astype(int) - rgb).mean() < 6
        x, y = points["iris_2d"][:, :2].mean(axis=0).astype(int)
        assert anatomical[y, x] in (side_label(side, "pupil"), side_label(side, "iris"))
        ring = points["iris_2d"][:, :2]
        disc = np.isin(anatomical, (side_label(side, "pupil"), side_label(side, "iris")))
        rows, columns = np.nonzero(disc)
        np.testing.assert_allclose(ring.max(axis=0), (columns.max() + 1, rows.max() + 1), atol=1.2)
        np.testing.assert_allclose(ring.min(axis=0), (columns.min(), rows.min()), atol=1.2)
        assert (data["facewright"]["side"], data["facewright"]["index"]) == (side, str(frame.sample.index))
        assert seg.shape == picture.shape[:2]


def test_unityeyes_has_the_nose_at_image_left_and_the_margin_runs_over_the_upper_lid(remote, tmp_path):
    out = export(remote, "unityeyes", tmp_path / "out")
    for frame, (picture, data, points) in zip(frames(remote), unity_eyes(out), strict=True):
        margin, caruncle, ring = (points[name][:, :2] for name in ("interior_margin_2d", "caruncle_2d", "iris_2d"))
        assert (len(margin), len(caruncle), len(ring)) == (16, 7, 32)
        assert caruncle[:, 0].mean() < margin[8, 0]
        assert margin[:, 0].argmin() in (0, 1, 15)
        assert margin[:, 0].argmax() in (7, 8, 9)
        assert margin[1:8, 1].mean() < margin[9:, 1].mean()
        edge = np.roll(ring, -1, axis=0) - ring
        assert (ring[:, 0] * edge[:, 1] - ring[:, 1] * edge[:, 0]).sum() < 0  # counter-clockwise as one sees it
        assert ring[0, 0] > ring[16, 0]
        depth = frame.truth.eyes[target_side(frame)].cornea_centre_mm[2] / 10
        for name in points:
            assert abs(points[name][:, 2] - depth).max() < 1.8
        assert len(data["eye_region_details"]["pca_shape_coeffs"]) == 20
        assert all(isinstance(value, str) for value in data["lighting_details"].values())
        assert picture.shape == frame.rgb.shape


def test_unityeyes_pose_and_gaze_of_a_known_scene(tmp_path):
    for side, yaw_sign, camera_yaw in (("left", 1, 160), ("right", -1, 200)):
        changes = [*FRONTAL[:-4], "camera.azimuth_deg=20", "camera.elevation_deg=10", f"camera.target={side}_eye"]
        changes += ["camera.shift_x=0", "camera.shift_y=0", "gaze.reference=camera", "gaze.yaw_deg=18"]
        changes += ["gaze.pitch_deg=12", "gaze.distance_mm=100000", *OPEN, *HALF]
        source = generate(tmp_path / side, "eye_rgb", 1, *changes)
        [(_, data, _)] = unity_eyes(export(source, "unityeyes", tmp_path / f"{side}_out"))
        np.testing.assert_allclose(ast.literal_eval(data["head_pose"]), (10, camera_yaw, 0), atol=1e-3)
        pitch, yaw = np.degrees(gazeml_pitch_yaw(data["eye_details"]["visual_vec"]))
        assert pitch == pytest.approx(12, abs=4)
        assert yaw * yaw_sign == pytest.approx(18, abs=4)


@given(st.floats(-1.2, 1.2), st.floats(-3.1, 3.1))
def test_the_sign_table_goes_round(pitch, yaw):
    x, y, z = direction(pitch, yaw)
    look = f"({x}, {-y}, {z}, 0.0)"
    read_pitch, read_yaw = gazeml_pitch_yaw(look)
    assert read_pitch == pytest.approx(pitch, abs=1e-9)
    assert math.remainder(read_yaw - yaw, 2 * math.pi) == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose((math.asin(-y), math.atan2(-x, -z)), (pitch, yaw), atol=1e-9)


@given(st.floats(-1.2, 1.2), st.floats(-1.2, 1.2), st.floats(-1, 1), st.booleans())
def test_unity_euler_angles_turn_unitys_camera_to_where_ours_is(yaw, pitch, roll, mirrored):
    head_to_camera = np.diag([1.0, -1.0, -1.0]) @ head_rotation(yaw, pitch, roll)
    x, y, z = unityeyes.camera_euler_deg(head_to_camera, mirrored)
    turn = Rotation.from_euler("YXZ", [y, x, z], degrees=True).as_matrix()  # the same formulas hold left-handed
    sign = -1 if mirrored else 1
    for axis, unity_axis in (
        (head_to_camera[0] * sign, turn[:, 0]),
        (-head_to_camera[1], turn[:, 1]),
        (head_to_camera[2], turn[:, 2]),
    ):
        np.testing.assert_allclose(unity_axis, axis * (-sign, 1, 1), atol=1e-9)


def test_a_frontal_head_has_unitys_frontal_pose():
    pose = unityeyes.camera_euler_deg(np.diag([1.0, -1.0, -1.0]), mirrored=False)
    assert [angle % 360 for angle in pose] == [0, 180, 0]


# Normalisation


def test_the_warp_is_bilinear_interpolation():
    y, x = np.mgrid[0:40, 0:60]
    picture = np.round(120 + 60 * np.sin(x / 5) + 50 * np.cos(y / 4 + x / 9)).astype(np.uint8)
    homography = np.array([[1.1, 0.05, -8], [-0.04, 1.15, -5], [1e-4, -2e-4, 1]])
    patch = normalisation.warp(picture, homography, 30, 20)
    centres = np.stack(np.meshgrid(np.arange(30) + 0.5, np.arange(20) + 0.5, [1.0]), axis=-1).reshape(-1, 3)
    at = centres @ np.linalg.inv(homography).T
    expected = map_coordinates(picture.astype(float), (at[:, :2] / at[:, 2:]).T[::-1] - 0.5, order=1)
    np.testing.assert_allclose(patch.ravel(), expected, atol=0.51)


def test_shrinking_does_not_alias():
    stripes = np.where(np.arange(240) % 2, 255, 0).astype(np.uint8)[None].repeat(160, axis=0)
    patch = normalisation.warp(stripes, np.diag([1 / 3.7, 1 / 3.7, 1]), 60, 40)
    assert abs(patch.astype(int) - 127.5).max() < 40
    assert abs(patch.astype(int) - 127.5).mean() < 20
    flat = normalisation.warp(np.full((50, 50, 3), 77, np.uint8), np.diag([0.5, 0.5, 1]), 20, 20)
    assert (flat == 77).all()


def test_equalising_spreads_the_histogram_as_opencv_does():
    grey = np.array([[10, 10], [20, 30]], np.uint8)
    np.testing.assert_array_equal(normalisation.equalise(grey), [[0, 0], [128, 255]])
    np.testing.assert_array_equal(normalisation.equalise(np.full((2, 2), 9, np.uint8)), np.full((2, 2), 9))


def zhang(centre, head_x):
    """Return R (3, 3) as in Zhang et al. 2018."""
    z = centre / np.linalg.norm(centre)
    y = np.cross(z, head_x)
    y /= np.linalg.norm(y)
    return np.stack([np.cross(y, z), y, z])


def opencv(homography):
    """Return a homography between our pixels as one between OpenCV's."""
    shift = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    return np.linalg.inv(shift) @ homography @ shift


@pytest.mark.parametrize("camera", [mpiigaze.CAMERA, eth_xgaze.CAMERA], ids=["mpiigaze", "eth_xgaze"])
def test_what_the_virtual_camera_looks_at_is_in_its_middle(faces, camera):
    for frame in frames(faces):
        truth = frame.truth
        head = normalisation.face_model_rotation(truth.head)
        centre = mpiigaze.eye_centre(truth, "left")
        normal = normalisation.normalise(camera, truth.camera, head, centre)
        np.testing.assert_allclose(normal.rotation, zhang(centre, truth.head.rotation[:, 0]), atol=1e-12)
        K = truth.camera.K - np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])
        u, v, w = opencv(normal.homography) @ K @ centre
        np.testing.assert_allclose((u / w, v / w), (camera.width / 2, camera.height / 2), atol=1e-9)
        beside = centre + 10 * normal.rotation[0]  # 10 mm to its right, in the plane across its axis
        u, v, w = opencv(normal.homography) @ K @ beside
        step = camera.focal_px * 10 / np.linalg.norm(centre) * np.linalg.norm(centre) / camera.distance_mm
        np.testing.assert_allclose((u / w - camera.width / 2, v / w), (step, camera.height / 2), atol=1e-6)


# MPIIGaze


def mpii_person(out, person):
    """Return (image, gaze, pose) rows as pytorch_mpiigaze's preprocessing makes them, with their places."""
    days = {}
    for path in sorted((out / "Data/Normalized" / person).glob("*.mat")):
        content = scipy_io.loadmat(path, struct_as_record=False, squeeze_me=True)
        days[path.stem] = content["data"], list(content["filenames"])
    rows = []
    for line in (out / f"Evaluation Subset/sample list for eye image/{person}.txt").read_text().splitlines():
        path, side = line.split(" ")
        day, name = path.split("/")
        data, names = days[day]
        eyes = getattr(data, side)
        k = names.index(name)
        x, y, z = eyes.gaze[k]
        gaze = np.array([math.asin(-y), math.atan2(-x, -z)])
        forward = Rotation.from_rotvec(eyes.pose[k]).as_matrix()[:, 2]
        pose = np.array([math.asin(forward[1]), math.atan2(forward[0], forward[2])])
        image, sign = (eyes.image[k], 1) if side == "left" else (eyes.image[k][:, ::-1], np.array([1, -1]))
        rows.append((image, gaze * sign, pose * sign, int(name[:6]), side, eyes.gaze[k], eyes.pose[k]))
    return rows


def test_mpiigaze_is_what_its_loaders_make_of_it(webcam, tmp_path):
    out = export(webcam, "mpiigaze", tmp_path / "out")
    with h5py.File(out / "MPIIGaze.h5") as h5:
        assert sorted(h5) == ["p00", "p01"]
        for person in h5:
            rows = mpii_person(out, person)
            assert len(rows) == 3
            np.testing.assert_array_equal(h5[person]["image"], [row[0] for row in rows])
            np.testing.assert_allclose(h5[person]["gaze"], [row[1] for row in rows], atol=1e-6)
            np.testing.assert_allclose(h5[person]["pose"], [row[2] for row in rows], atol=1e-6)
            assert h5[person]["image"].dtype == np.uint8
            assert h5[person]["image"].shape == (3, 36, 60)


def test_mpiigaze_turned_back_is_the_truth(webcam, tmp_path):
    out = export(webcam, "mpiigaze", tmp_path / "out")
    dataset = facewright.dataset.open(webcam)
    for _, _, _, index, side, gaze, pose in mpii_person(out, "p00") + mpii_person(out, "p01"):
        truth = dataset.frame(index).truth
        assert side == truth.target.removesuffix("_eye")
        corners = truth.landmarks_3d_mm[[36, 39] if side == "right" else [42, 45]]
        centre = corners.mean(axis=0)
        turn = zhang(centre, truth.head.rotation[:, 0])
        true = (truth.gaze_target_mm - centre) / np.linalg.norm(truth.gaze_target_mm - centre)
        np.testing.assert_allclose(turn.T @ gaze, true, atol=1e-9)
        apart = math.degrees(math.acos(np.clip(true @ truth.eyes[side].visual_axis, -1, 1)))
        assert apart < 3  # the eyeball's centre lies some 10 mm behind the corners' midpoint
        head = turn.T @ Rotation.from_rotvec(pose).as_matrix()
        np.testing.assert_allclose(head[:, 0], truth.head.rotation[:, 0], atol=1e-9)
        np.testing.assert_allclose(head[:, 1:], -truth.head.rotation[:, 1:], atol=1e-9)
        assert abs(head_roll(pose)) < 1e-9


def head_roll(pose):
    """Return how far the normalised head's x axis leaves the horizontal plane: Zhang's camera has no roll."""
    return Rotation.from_rotvec(pose).as_matrix()[1, 0]


def test_a_mpiigaze_eye_outside_the_picture_is_black_and_without_gaze(webcam, tmp_path):
    out = export(webcam, "mpiigaze", tmp_path / "out")
    data = scipy_io.loadmat(out / "Data/Normalized/p00/day01.mat", struct_as_record=False, squeeze_me=True)["data"]
    for k, frame in enumerate(frames(webcam)[:3]):
        shown, other = (
            getattr(data, target_side(frame)),
            getattr(data, "left" if target_side(frame) == "right" else "right"),
        )
        assert shown.image[k].max() == 255
        assert np.isfinite(shown.gaze[k]).all()
        assert not other.image[k].any()
        assert np.isnan(other.gaze[k]).all()
        assert np.isnan(other.pose[k]).all()


def test_the_patch_shows_the_pupil_where_the_truth_puts_it(webcam):
    for frame in frames(webcam):
        side = target_side(frame)
        head, centre = normalisation.face_model_rotation(frame.truth.head), mpiigaze.eye_centre(frame.truth, side)
        normal = normalisation.normalise(mpiigaze.CAMERA, frame.truth.camera, head, centre)
        disc = np.where(frame.seg_anatomical == side_label(side, "pupil"), 255, 0).astype(np.uint8)
        patch = normalisation.warp(disc, normal.homography, 60, 36) / 255
        y, x = np.mgrid[0:36, 0:60] + 0.5
        found = (patch * x).sum() / patch.sum(), (patch * y).sum() / patch.sum()
        expected = normalisation.transform(normal.homography, frame.truth.eyes[side].pupil.centre)
        np.testing.assert_allclose(found, expected, atol=0.25)


@pytest.mark.parametrize(("yaw", "pitch"), [(15, 8), (-15, -8)])
def test_mpiigaze_signs_of_a_known_scene(tmp_path, yaw, pitch):
    changes = ["gaze.reference=camera", f"gaze.yaw_deg={yaw}", f"gaze.pitch_deg={pitch}", *FRONTAL, *OPEN]
    source = generate(tmp_path / "d", "mpiigaze", 1, "camera.target=right_eye", *changes)
    [row] = mpii_person_of_one(export(source, "mpiigaze", tmp_path / "out"))
    assert np.sign(row[:2]).tolist() == [-np.sign(yaw), -np.sign(pitch)]  # image-left is -x, up is -y


def mpii_person_of_one(out):
    content = scipy_io.loadmat(out / "Data/Normalized/p00/day01.mat", struct_as_record=False, squeeze_me=True)
    assert content["filenames"] == "000000.rgb.png"
    return [content["data"].right.gaze]


def test_a_long_session_becomes_several_days(webcam, tmp_path, monkeypatch):
    monkeypatch.setattr(mpiigaze, "DAY_FRAMES", 2)
    out = export(webcam, "mpiigaze", tmp_path / "out")
    names = sorted(str(path.relative_to(out / "Data/Normalized")) for path in out.rglob("*.mat"))
    assert names == ["p00/day01.mat", "p00/day02.mat", "p01/day01.mat", "p01/day02.mat"]
    lines = (out / "Evaluation Subset/sample list for eye image/p01.txt").read_text().split()[::2]
    assert lines == ["day01/000003.rgb.png", "day01/000004.rgb.png", "day02/000005.rgb.png"]


# ETH-XGaze


def test_eth_xgaze_is_read_as_its_loader_does(faces, tmp_path):
    out = export(faces, "eth_xgaze", tmp_path / "out")
    names = json.loads((out / "train_test_split.json").read_text())["train"]
    assert names == ["subject0000.h5", "subject0001.h5"]
    dataset = facewright.dataset.open(faces)
    for name in names:
        with h5py.File(out / "train" / name, "r", swmr=True) as h5:
            assert h5["face_patch"].shape == (2, 224, 224, 3)
            assert h5["face_patch"].dtype == np.uint8
            for k in range(2):
                frame = dataset.frame(int(h5["frame_index"][k, 0]))
                compare_face(frame, {key: h5[key][k] for key in h5})


def compare_face(frame, row):
    truth = frame.truth
    points = truth.landmarks_3d_mm
    centre = (points[[36, 39, 42, 45]].mean(axis=0) + points[[31, 35]].mean(axis=0)) / 2
    turn = zhang(centre, truth.head.rotation[:, 0])
    np.testing.assert_allclose(row["face_mat_norm"], turn, atol=1e-12)
    pitch, yaw = row["face_gaze"]
    vector = -np.array([math.cos(pitch) * math.sin(yaw), math.sin(pitch), math.cos(pitch) * math.cos(yaw)])
    true = truth.gaze_target_mm - centre
    np.testing.assert_allclose(turn.T @ vector, true / np.linalg.norm(true), atol=1e-9)
    forward = turn @ truth.head.rotation[:, 2]
    np.testing.assert_allclose(row["face_head_pose"], pitch_yaw(forward), atol=1e-9)
    scaled = points @ turn.T * [1, 1, 600 / np.linalg.norm(centre)]  # an independent projection
    expected = 960 * scaled[:, :2] / scaled[:, 2:] + 112
    np.testing.assert_allclose(row["facial_landmarks"], expected, atol=1e-6)
    x, y = np.round(row["facial_landmarks"][30]).astype(int)  # nose tip
    u, v = truth.landmarks_2d[30].astype(int)
    np.testing.assert_allclose(row["face_patch"][y, x, ::-1].astype(int), frame.rgb[v, u], atol=12)


def test_eth_xgaze_head_yaw_is_positive_toward_image_left(tmp_path):
    changes = [*FRONTAL, "pose.head_yaw_deg=25", "pose.head_pitch_deg=-10", "image.width=128", "image.height=128"]
    out = export(generate(tmp_path / "d", "face", 1, *changes, *OPEN), "eth_xgaze", tmp_path / "out")
    with h5py.File(out / "train/subject0000.h5") as h5:
        pitch, yaw = np.degrees(h5["face_head_pose"][0])
    assert yaw == pytest.approx(25, abs=4)
    assert pitch == pytest.approx(-10, abs=4)


def test_eth_xgaze_refuses_pictures_of_eyes(near, tmp_path, capsys):
    said = mistake(capsys, "export", near, "--as", "eth_xgaze", "-o", tmp_path / "out")
    assert "eth_xgaze needs whole faces; generate with the recipe face" in said
    assert "leave out --side" in mistake(
        capsys, "export", near, "--as", "eth_xgaze", "-o", tmp_path / "out", "--side", "left"
    )


# OpenEDS


def test_openeds_labels_are_the_visible_ids(near, tmp_path):
    out = export(near, "openeds", tmp_path / "out")
    assert {path.name for path in out.iterdir()} == {"train", "validation", "test", "facewright.json"}
    for k, frame in enumerate(frames(near)):
        split = split_of(0, frame.sample.subject_index, openeds.SPLITS)
        labels = np.load(out / split / f"labels/{k:06d}.npy")
        image = read(out / split / f"images/{k:06d}.png")
        assert image.shape == labels.shape == (240, 320)
        assert image.dtype == np.uint8
        assert labels.dtype == np.uint8
        assert set(np.unique(labels)) <= {0, 1, 2, 3}
        side = target_side(frame)
        for value, part in enumerate(("sclera", "iris", "pupil"), start=1):
            np.testing.assert_array_equal(labels == value, frame.seg == side_label(side, part))


def test_openeds_splits_keep_persons_together_and_their_shares():
    splits = [split_of(3, subject, openeds.SPLITS) for subject in range(4000)]
    assert splits == [split_of(3, subject, openeds.SPLITS) for subject in range(4000)]
    for split, share in openeds.SPLITS.items():
        assert splits.count(split) / 4000 == pytest.approx(share, abs=0.03)


# NVGaze and RIT-Eyes


def nvgaze_rows(out):
    with (out / "labels.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_nvgaze_masks_agree_with_the_ellipses_of_the_table(near, tmp_path):
    out = export(near, "nvgaze", tmp_path / "out")
    for frame, row in zip(frames(near), nvgaze_rows(out), strict=True):
        name = f"{int(row['frame']):04d}.png"
        visible, anatomical = (read(out / f"type_{mask}_frame_{name}") for mask in ("maskWithSkin", "maskWithoutSkin"))
        assert visible.dtype == anatomical.dtype == np.uint8
        assert set(np.unique(anatomical)) == {0, 1, 2, 3}
        assert (anatomical[visible >= 2] == visible[visible >= 2]).all()
        assert (visible == 0).sum() > (anatomical == 0).sum()
        rows, columns = np.nonzero(anatomical == 3)  # pixel centres at integers: OpenCV's coordinates
        np.testing.assert_allclose(
            (columns.mean(), rows.mean()), (float(row["pupil_x"]), float(row["pupil_y"])), atol=0.3
        )
        area = math.pi / 4 * float(row["pupil_width"]) * float(row["pupil_height"])
        assert (anatomical == 3).sum() == pytest.approx(area, rel=0.05)
        pitch, yaw = np.degrees(pitch_yaw(frame.truth.gaze))
        np.testing.assert_allclose(
            (float(row["float_gaze_x_degree"]), float(row["float_gaze_y_degree"])), (yaw, pitch), atol=1e-3
        )


# TEyeD


def teyed_table(out, video, kind):
    """Return the header and FRAME -> values, read as TEyeD's loaders do."""
    head, *lines = (out / f"ANNOTATIONS/{video}.mp4{kind}.txt").read_text().splitlines()
    assert head.startswith("FRAME;")
    assert all(line.endswith(";") for line in lines)
    return head.split(";")[1:-1], {int(f): [float(v) for v in rest[:-1]] for f, *rest in (x.split(";") for x in lines)}


def test_teyed_annotations_lie_on_the_picture(near, tmp_path):
    out = export(near, "teyed", tmp_path / "out")
    for frame in frames(near):
        side, eye = target_side(frame), frame.truth.eyes[target_side(frame)]
        video = f"subject{frame.sample.subject_index:04d}_{side}"
        assert read(out / f"VIDEOS/{video}/0000001.png").shape == (240, 320)
        head, table = teyed_table(out, video, "pupil_eli")
        assert head == ["ANGLE", "CENTER X", "CENTER Y", "WIDTH", "HEIGHT"]
        _, x, y, width, height = table[1]
        assert eye_ids(frame.seg_anatomical, side)[round(y), round(x)] == 3
        assert width >= height
        for kind, count in (("pupil_lm_2D", 8), ("iris_lm_2D", 8), ("lid_lm_2D", 34)):
            head, table = teyed_table(out, video, kind)
            assert len(head) == len(table[1]) == 1 + 2 * count
        lids = np.array(teyed_table(out, video, "lid_lm_2D")[1][1][1:]).reshape(34, 2)
        np.testing.assert_allclose(lids[[0, 16]], lids[[17, 33]], atol=1e-3)
        assert lids[0, 0] < lids[16, 0]
        assert (lids[1:16, 1] < lids[18:33, 1]).all()
        np.testing.assert_allclose(teyed_table(out, video, "gaze_vec")[1][1], eye.optical_axis, atol=1e-5)
        np.testing.assert_allclose(teyed_table(out, video, "visual_vec")[1][1], eye.visual_axis, atol=1e-5)
        radius, bx, by, bz = teyed_table(out, video, "eye_ball")[1][1]
        np.testing.assert_allclose((bx, by), frame.truth.camera.project(eye.centre_mm) - 0.5, rtol=1e-4)
        assert bz == pytest.approx(eye.centre_mm[2], rel=1e-4)
        assert 9 < radius * bz / frame.truth.camera.K[0, 0] < 15


def test_a_shut_eye_has_no_gaze(tmp_path, capsys):
    shut = generate(tmp_path / "d", "nvgaze", 1, "expression.blink=1", "expression.wink=0", *HALF)
    [frame] = frames(shut)
    video = f"subject0000_{target_side(frame)}"
    out = export(shut, "teyed", tmp_path / "teyed")
    for kind in ("pupil_eli", "pupil_lm_2D", "gaze_vec"):
        assert set(teyed_table(out, video, kind)[1][1]) == {-1}
    assert teyed_table(out, video, "validity_pupil")[1] == {1: [0]}
    said = mistake(capsys, "export", shut, "--as", "unityeyes", "-o", tmp_path / "unity")
    assert "nothing in it suits unityeyes (1 eye shut)" in said
    assert not (tmp_path / "unity").exists()


# What all have in common


def test_sides():
    truth = type("T", (), {"target": "left_eye"})()
    assert [sides(truth, side) for side in ("target", "left", "right", "both")] == [
        ("left",),
        ("left",),
        ("right",),
        ("right", "left"),
    ]
    assert sides(type("T", (), {"target": "face"})(), "target") == ("right", "left")


def test_a_face_has_two_eyes_to_export_and_side_takes_one(faces, tmp_path, capsys):
    both = export(faces, "unityeyes", tmp_path / "both")
    left = export(faces, "unityeyes", tmp_path / "left", "--side", "left")
    found = [[data["facewright"]["side"] for _, data, _ in unity_eyes(out)] for out in (both, left)]
    left_out = [json.loads((out / "facewright.json").read_text())["left_out"] for out in (both, left)]
    assert len(found[0]) == 8 - sum(left_out[0].values())
    assert set(found[0]) == {"left", "right"}
    assert found[1] == ["left"] * (4 - sum(left_out[1].values()))
    capsys.readouterr()


def test_what_is_left_out_is_counted_by_reason(webcam, tmp_path, capsys):
    out = export(webcam, "unityeyes", tmp_path / "out", "--side", "both")
    said = capsys.readouterr().err
    assert "6 eyes left out: 6 not in the picture" in said
    assert json.loads((out / "facewright.json").read_text())["left_out"] == {"not in the picture": 6}


def test_the_refined_picture_is_taken_where_there_is_one_unless_raw_is_wanted(tmp_path, capsys):
    source = generate(tmp_path / "d", "nvgaze", 2, "image.width=64", "image.height=48", *OPEN)
    dataset = facewright.dataset.open(source)
    frame, old = dataset.frame(0), dataset.record(0)
    with reopen(source) as writer:
        new = {layer_file(0, "refined"): encode_layer("refined", 255 - frame.rgb)}
        writer.put(0, new, record_of(frame) | {"layers": old["layers"]})
    pictures = {}
    for name, options in (("refined", ()), ("raw", ("--raw",))):
        out = export(source, "nvgaze", tmp_path / name, *options)
        pictures[name] = read(out / "type_img_frame_0001.png").astype(int)
    assert "1 frames have no refined picture" in capsys.readouterr().err
    assert abs(pictures["refined"] + pictures["raw"] - 255).max() <= 1


@pytest.mark.parametrize("name", FORMATS)
def test_an_export_made_again_is_the_same_bytes(name, webcam, faces, near, remote, tmp_path):
    source = source_of(name, webcam, faces, near, remote)
    made = []
    for turn in ("a", "b"):
        out = export(source, name, tmp_path / turn)
        made.append({str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()})
    assert made[0] == made[1]
    assert not list(tmp_path.glob(".*"))


def test_a_mistake_is_one_sentence_and_leaves_nothing(near, tmp_path, capsys, monkeypatch):
    out = tmp_path / "out"
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine.txt").write_text("x")
    assert "is not empty; give a new folder" in mistake(
        capsys, "export", near, "--as", "teyed", "-o", tmp_path / "full"
    )
    assert "is a file" in mistake(capsys, "export", near, "--as", "teyed", "-o", tmp_path / "full/mine.txt")
    bare = generate(tmp_path / "bare", "nvgaze", 1, "image.width=64", "image.height=48", "outputs=[depth]")
    assert "has no layer 'seg'" in mistake(capsys, "export", bare, "--as", "openeds", "-o", out)
    empty = generate(tmp_path / "empty", "nvgaze", 0)
    assert "it has no frames yet" in mistake(capsys, "export", empty, "--as", "teyed", "-o", out)
    monkeypatch.setitem(sys.modules, "h5py", None)
    said = mistake(capsys, "export", near, "--as", "mpiigaze", "-o", out)
    assert "needs the package h5py; run `python -m pip install h5py`" in said
    assert not out.exists()
    assert not list(tmp_path.glob(".*"))


def test_an_empty_output_folder_will_do_also_the_one_we_stand_in(near, tmp_path, monkeypatch):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    assert (export(near, "openeds", tmp_path / "a") / "facewright.json").exists()
    monkeypatch.chdir(tmp_path / "b")
    export(near, "openeds", ".")
    assert (tmp_path / "b/facewright.json").exists()


def test_progress_of_an_export_comes_as_json_lines(near, tmp_path, capsys):
    capsys.readouterr()
    export(near, "openeds", tmp_path / "out", "--json-events")
    kinds = [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()]
    assert kinds == ["start", *["frame"] * 6, "done"]


def test_a_rendered_iris_lies_in_its_exported_ring(frame):
    for side in sides(frame.truth, "target"):
        view = View(frame, frame.rgb, "000000.rgb.png", side)
        ring = np.array([ast.literal_eval(text)[:2] for text in unityeyes.annotation(view)["iris_2d"]])
        rows, columns = np.nonzero(eye_ids(frame.seg_anatomical, side) >= 2)
        x = frame.truth.camera.width - (columns + 0.5) if side == "right" else columns + 0.5
        middle = (x.mean(), frame.truth.camera.height - (rows + 0.5).mean())
        np.testing.assert_allclose(ring.mean(axis=0), middle, atol=1.5)


# The page


def test_every_format_has_a_chapter_and_every_recipe_of_its_own_exists():
    assert re.findall(r"^## `(\w+)`", PAGE, re.MULTILINE) == list(FORMATS)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools with numpy 2
@pytest.mark.parametrize("name", FORMATS)
def test_the_loader_on_the_page_runs(name, webcam, faces, near, remote, tmp_path, monkeypatch, capsys):
    source = source_of(name, webcam, faces, near, remote)
    export(source, name, tmp_path / "OUT")
    monkeypatch.chdir(tmp_path)
    [loader] = re.findall(r"```python\n(.*?)```", PAGE.split(f"## `{name}`")[1].split("\n## ")[0], re.DOTALL)
    capsys.readouterr()
    exec(compile(loader, "exports.md", "exec"), {})
    assert capsys.readouterr().out
