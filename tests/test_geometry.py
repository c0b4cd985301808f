"""Rotations, refraction, ellipses and subdivision against independent formulas."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facewright import Recipe, sample
from facewright.geometry.camera import WORLD_FROM_HEAD, look_at
from facewright.geometry.ellipse import fit_ellipse
from facewright.geometry.mesh import Subdivision
from facewright.geometry.refraction import Conicoid, apparent_direction, trace
from facewright.geometry.rotations import between, head_angles, head_rotation
from facewright.truth import Ellipse, direction, pitch_yaw
from facewright.world.camera import describe, place

ANGLE = st.floats(-1.2, 1.2)


@given(ANGLE, ANGLE, ANGLE)
def test_head_angles_invert_head_rotation(yaw, pitch, roll):
    assert head_angles(head_rotation(yaw, pitch, roll)) == pytest.approx((yaw, pitch, roll), abs=1e-9)


def test_head_signs_are_those_of_the_contract():
    forward, up = np.array([0, 0, 1.0]), np.array([0, 1.0, 0])
    assert (head_rotation(0.3, 0, 0) @ forward)[0] < 0, "+yaw turns toward the subject's right, image-left"
    assert (head_rotation(0, 0.3, 0) @ forward)[1] > 0, "+pitch looks up"
    assert (head_rotation(0, 0, 0.3) @ up)[0] > 0, "+roll is clockwise in the image (image right is +x)"


@given(ANGLE, ANGLE)
def test_pitch_yaw_follow_mpiigaze(pitch, yaw):
    assert pitch_yaw(direction(pitch, yaw)) == pytest.approx((pitch, yaw), abs=1e-9)
    x, y, z = direction(pitch, yaw)
    assert (math.asin(-y), math.atan2(-x, -z)) == pytest.approx((pitch, yaw), abs=1e-9)


def test_between_takes_one_direction_to_the_other():
    a, b = np.array([0.2, -0.4, 0.9]), np.array([-0.5, 0.1, 0.3])
    moved = between(a, b) @ a
    assert moved / np.linalg.norm(moved) == pytest.approx(b / np.linalg.norm(b))


def test_a_rolled_camera_turns_its_picture_clockwise():
    still = look_at(np.array([0, -1.0, 0]), np.zeros(3), np.array([0, 0, 1.0]), 0.0)
    rolled = look_at(np.array([0, -1.0, 0]), np.zeros(3), np.array([0, 0, 1.0]), 0.2)
    up = np.array([0, 0, 1.0])
    assert (still @ up)[0] == pytest.approx(0)
    assert (rolled @ up)[0] > 0
    assert np.linalg.det(rolled) == pytest.approx(1)


@given(st.floats(2, 50), st.floats(0.3, 1), st.floats(0, math.pi - 0.01), st.floats(-100, 100))
def test_fit_ellipse_recovers_an_ellipse(a, ratio, angle, shift):
    known = Ellipse(np.array([shift, 2 * shift + 3]), a, a * ratio, angle)
    found = fit_ellipse(known.points(40))
    assert found.centre == pytest.approx(known.centre, abs=1e-5)
    assert (found.a, found.b) == pytest.approx((known.a, known.b), rel=1e-5)


def test_a_conicoid_obeys_its_own_equation_and_a_sphere_its_radius():
    surface = Conicoid(7.8, -0.26, 12.0, 1.0, 1.376)
    origin = np.tile([3.0, -2.0, 40.0], (50, 1))
    aim = np.stack([np.linspace(-4, 4, 50), np.linspace(3, -3, 50), np.full(50, 9.0)], axis=1) - origin
    points = surface.meet(origin, aim / np.linalg.norm(aim, axis=1, keepdims=True))
    s, r2 = 12.0 - points[:, 2], points[:, 0] ** 2 + points[:, 1] ** 2
    assert r2 + 0.74 * s * s == pytest.approx(2 * 7.8 * s)
    assert surface.sag(np.sqrt(r2)) == pytest.approx(s)


def test_refraction_obeys_snell_in_angles():
    surface = Conicoid(1e9, 0.0, 0.0, 1.0, 1.336)
    angle = 0.7
    ray = np.array([[math.sin(angle), 0, -math.cos(angle)]])
    _, bent = trace(np.array([[0.0, 0, 5.0]]), ray, (surface,))
    assert math.asin(bent[0, 0]) == pytest.approx(math.asin(math.sin(angle) / 1.336), abs=1e-6)


def test_a_flat_surface_lifts_a_point_as_the_textbook_says():
    surface = Conicoid(1e7, 0.0, 0.0, 1.0, 1.33)
    ray = apparent_direction(np.array([1e-4, 0, 100.0]), np.array([[0.0, 0, -4.0]]), (surface,))[0]
    height_where_it_crosses = 100 - 1e-4 * -ray[2] / -ray[0]
    assert -height_where_it_crosses == pytest.approx(4 / 1.33, abs=0.05)


def test_a_traced_apparent_ray_hits_its_point():
    surfaces = (Conicoid(7.8, -0.26, 12.4, 1.0, 1.376), Conicoid(6.5, -0.9, 11.85, 1.376, 1.336))
    eye = np.array([15.0, -8.0, 60.0])
    points = np.array([[2.0, 0, 8.9], [-2, 1, 8.9], [0, -2, 8.8]])
    start, below = trace(np.tile(eye, (3, 1)), apparent_direction(eye, points, surfaces), surfaces)
    t = (points[:, 2] - start[:, 2]) / below[:, 2]
    assert start + t[:, None] * below == pytest.approx(points, abs=1e-8)


def test_subdividing_a_cube_keeps_it_closed_and_rounds_it():
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
    faces = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])
    step = Subdivision(faces, 8)
    fine = step.positions(corners)
    assert len(fine) == 8 + 12 + 6
    assert step.faces.shape == (24, 4)
    assert (step.edge_uses == 2).all()
    assert np.linalg.norm(fine[:8], axis=1) == pytest.approx(np.full(8, math.sqrt(3) * 5 / 9)), (
        "Catmull-Clark, valence 3"
    )
    assert step.linear(corners)[:8] == pytest.approx(corners)


@pytest.mark.parametrize("index", range(6))
def test_a_described_camera_is_the_one_that_was_placed(index):
    drawn = sample(Recipe.load("face_wild"), 1, index)
    target = np.array([12.0, -30.0, 7.0])
    placed = place(drawn.camera, drawn.image, target, np.eye(3), WORLD_FROM_HEAD)
    pinhole = -placed.rotation.T @ placed.translation_mm
    for name, value in describe(pinhole, placed.rotation, placed.K[0, 0], placed.width, target).items():
        assert value == pytest.approx(getattr(drawn.camera, name), abs=1e-9), name
