"""The drift check: it sees what moved, and forgives what only looks different."""

import numpy as np
import pytest
import torch

from facewright_refiner import drift, sensor
from facewright_refiner.apply import to_image, to_tensor
from facewright_refiner.profile import Profile, draw


def refined(frame, index, profile="phone", move=(0.0, 0.0)):
    light = to_tensor([frame.linear])
    if move != (0.0, 0.0):
        light = shifted(light, *move)
    return to_image(sensor.apply(light, [draw(Profile.load(profile), 2, index, px_per_mm=4.0)]))[0]


def shifted(image, dx, dy):
    """Return the image moved by a Fourier shift: independent of the method under test."""
    height, width = image.shape[-2:]
    phase = torch.fft.fftfreq(height)[:, None] * dy + torch.fft.rfftfreq(width) * dx
    return torch.fft.irfft2(torch.fft.rfft2(image) * torch.exp(-2j * torch.pi * phase), s=(height, width)).clamp(min=0)


@pytest.mark.parametrize("move", [(0.4, 0.0), (-0.3, 0.7), (1.5, -1.0)])
def test_registration_measures_a_known_shift(make_frame, move):
    frame = make_frame(1, 128, 96)
    a = drift.luma(frame.rgb)
    b = drift.luma(refined(frame, 3, move=move))
    found = drift.registration(a, b)
    assert found.dx == pytest.approx(move[0], abs=0.12)
    assert found.dy == pytest.approx(move[1], abs=0.12)


def test_a_camera_alone_is_not_drift(make_frame):
    found = []
    for index in range(12):
        frame = make_frame(index, 128, 96)
        result = drift.compare(frame.rgb, refined(frame, index), drift.windows_of(frame))
        found += [result.whole, result.pupil]
    assert np.median(found) < 0.05
    assert np.quantile(found, 0.95) < 0.2


def test_a_moved_pupil_is_seen(make_frame):
    for index in range(4):
        frame = make_frame(index, 128, 96)
        result = drift.compare(frame.rgb, refined(frame, index, move=(0.9, 0.5)), drift.windows_of(frame))
        assert result.pupil > 0.5
        assert result.whole > 0.5


def test_the_control_has_not_moved(make_frame):
    frame = make_frame(2, 128, 96)
    a = drift.luma(frame.rgb)
    control = drift.control(a, drift.luma(refined(frame, 5, "webcam", move=(3.0, 2.0))))
    assert drift.registration(a, control).px < 0.15


def test_a_flat_picture_tells_nothing():
    flat = np.full((64, 64, 3), 90, np.uint8)
    result = drift.compare(flat, flat, {"pupil": [(np.array([30.0, 30]), 20.0)]})
    assert np.isnan(result.whole)
    assert np.isnan(result.pupil)
    assert result.windows == 0


def test_windows_that_leave_the_picture_are_skipped(make_frame):
    frame = make_frame(0)
    result = drift.compare(frame.rgb, frame.rgb, {"landmark": [(np.array([-50.0, 20]), 15.0)]})
    assert np.isnan(result.landmark)


def test_edges_of_equal_pictures_correlate(make_frame):
    frame = make_frame(0)
    assert drift.compare(frame.rgb, frame.rgb).edges == pytest.approx(1)
    assert drift.compare(frame.rgb, frame.rgb).whole == pytest.approx(0, abs=1e-6)
    assert drift.compare(frame.rgb, frame.rgb[::-1]).edges < 0.9
