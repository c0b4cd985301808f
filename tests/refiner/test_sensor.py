"""The camera: every stage does what it says, and none moves anything."""

import dataclasses
import json
import math

import numpy as np
import pytest
import torch

from facewright.errors import RecipeError
from facewright_refiner import sensor
from facewright_refiner.parameters import Grade, SensorParams, milder, neutral, parameters
from facewright_refiner.profile import Profile, View, builtin_profiles, draw

LEVEL = 0.02


def camera(**changes):
    return dataclasses.replace(neutral(), **changes)


def dots(height=64, width=80, sigma=3.0, centre=(41.37, 30.81), colour=(1.0, 1.0, 1.0)):
    """A Gaussian dot on a dark ground: (1, 3, H, W), centroid known in corner-origin px."""
    x, y = torch.arange(width) + 0.5, torch.arange(height) + 0.5
    dot = torch.exp(-((x - centre[0]) ** 2 + (y[:, None] - centre[1]) ** 2) / (2 * sigma**2))
    return (LEVEL + 0.6 * dot * torch.tensor(colour)[:, None, None])[None], centre


def centroid(picture):
    """Return (x, y) of what stands out in (1, 3, H, W), by moments."""
    light = picture[0].mean(0).double()
    light = light - light.flatten().quantile(0.5)
    light = (light - 0.2 * light.max()).clamp(min=0)  # fades out, so that no pixel jumps in or out
    x, y = torch.arange(light.shape[1]) + 0.5, torch.arange(light.shape[0]) + 0.5
    return float((light.sum(0) * x).sum() / light.sum()), float((light.sum(1) * y).sum() / light.sum())


# Each: what moves nothing must not move a dot by more than this many px.
STAGES = {
    "resolution loss": camera(scale=0.41),
    "odd resolution loss": camera(scale=0.733),
    "blur": camera(blur_px=1.3),
    "defocus": camera(defocus_px=2.4),
    "motion": camera(motion_px=5.0, motion_deg=37.0),
    "all blurs": camera(blur_px=0.7, defocus_px=1.2, motion_px=3.0, motion_deg=110.0),
    "bayer BG": camera(mosaic="bayer", cfa="BG"),
    "bayer GB": camera(mosaic="bayer", cfa="GB"),
    "bayer RG": camera(mosaic="bayer", cfa="RG"),
    "bayer GR": camera(mosaic="bayer", cfa="GR"),
    "mono": camera(mosaic="mono"),
    "tone": camera(shoulder=0.1, contrast=1.3, gamma=0.8, headroom_ev=0.5),
    "sharpening": camera(sharpen=1.5, sharpen_px=1.4),
    "chroma": camera(chroma_px=2.0, saturation=1.4),
    "jpeg": camera(jpeg=75.0),
    "grey": camera(gray=True),
    "grade": camera(grades=(Grade((0.35, -0.06, 0.1), (0.14, 0.03, 0.05)),)),
}


@pytest.mark.parametrize("name", STAGES)
@pytest.mark.parametrize("size", [(64, 80), (63, 77)])
def test_no_stage_moves_a_dot(name, size):
    shifts = []
    for centre in ((41.37, 30.81), (38.0, 33.5), (40.62, 29.2)):
        light, _ = dots(*size, centre=centre)
        ideal, real = (centroid(sensor.apply(light, [p])) for p in (neutral(), STAGES[name]))
        shifts.append(math.dist(ideal, real))
    assert np.mean(shifts) < 0.05
    assert max(shifts) < 0.1


def test_the_dot_test_sees_a_shifted_stage():
    light, centre = dots()
    assert math.dist(centroid(sensor.apply(light, [neutral()])), centre) < 0.02
    moved = torch.roll(light, 1, dims=-1)
    assert abs(centroid(moved)[0] - centre[0] - 1) < 0.02


@pytest.mark.parametrize("name", builtin_profiles())
def test_no_profile_moves_a_dot(name):
    profile = Profile.load(name)
    shifts = []
    for index in range(30):
        light, _ = dots(96, 112, sigma=5.0, centre=(55.3, 47.9))
        params = dataclasses.replace(draw(profile, 5, index, px_per_mm=6.0), shade_ev=0.0, vignette_ev=0.0)
        silent = dataclasses.replace(params, shot=0.0, read=0.0)
        plain = centroid(sensor.apply(light, [neutral()]))
        shifts.append(math.dist(plain, centroid(sensor.apply(light, [silent]))))
    assert np.mean(shifts) < 0.05
    assert np.quantile(shifts, 0.95) < 0.2


@pytest.mark.parametrize("colour", [(1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0)])
@pytest.mark.parametrize("cfa", ["BG", "GB", "RG", "GR"])
def test_demosaicing_leaves_each_colour_in_its_place(colour, cfa):
    light, _ = dots(colour=colour)
    ideal, real = (sensor.apply(light, [camera(**p)]) for p in ({}, {"mosaic": "bayer", "cfa": cfa}))
    assert math.dist(centroid(ideal), centroid(real)) < 0.02


def test_point_spread_functions_are_centred_and_positive():
    for blur, defocus, motion, angle in (
        (0.3, 0, 0, 0),
        (2.7, 0, 0, 0),
        (0, 0.4, 0, 0),
        (0, 3.3, 0, 0),
        (0, 0, 0.6, 20),
        (0, 0, 7.4, 63),
        (0.8, 1.9, 4.2, 141),
    ):
        kernel = sensor.point_spread(camera(blur_px=blur, defocus_px=defocus, motion_px=motion, motion_deg=angle))
        x = torch.arange(kernel.shape[0], dtype=torch.float64) - kernel.shape[0] // 2
        assert kernel.shape[0] % 2 == 1
        assert (kernel >= 0).all()
        assert abs(float(kernel.sum()) - 1) < 1e-9
        assert max(abs(float((kernel.sum(0) * x).sum())), abs(float((kernel.sum(1) * x).sum()))) < 1e-6


def test_blur_has_the_width_it_was_asked_for():
    kernel = sensor.point_spread(camera(blur_px=2.0))
    x = torch.arange(kernel.shape[0], dtype=torch.float64) - kernel.shape[0] // 2
    assert float((kernel.sum(0) * x**2).sum()) == pytest.approx(4 + 1 / 12, rel=0.01)
    streak = sensor.point_spread(camera(motion_px=9.0, motion_deg=0.0))
    x = torch.arange(streak.shape[0], dtype=torch.float64) - streak.shape[0] // 2
    assert float((streak.sum(0) * x**2).sum()) == pytest.approx(81 / 12, rel=0.12)
    assert float((streak.sum(1) * x**2).sum()) < 0.2


def test_spread_is_a_convolution():
    image = torch.rand(1, 3, 20, 31, generator=torch.Generator().manual_seed(1))
    kernel = sensor.point_spread(camera(blur_px=0.8, motion_px=2.0, motion_deg=30.0)).float()
    radius = kernel.shape[0] // 2
    padded = torch.nn.functional.pad(image, [radius] * 4, mode="reflect").transpose(0, 1)
    expected = torch.nn.functional.conv2d(padded, kernel.flip(0, 1)[None, None]).transpose(0, 1)
    torch.testing.assert_close(sensor.spread(image, kernel), expected, atol=1e-5, rtol=1e-5)


def test_the_ideal_camera_encodes_srgb_and_nothing_else():
    light = torch.linspace(0, 1.5, 3 * 40 * 50).reshape(1, 3, 40, 50)
    value = light.clamp(0, 1)
    expected = torch.where(value <= 0.0031308, 12.92 * value, 1.055 * value.clamp(min=1e-6) ** (1 / 2.4) - 0.055)
    torch.testing.assert_close(sensor.apply(light, [neutral()]), expected, atol=1e-5, rtol=0)


def test_noise_follows_the_shot_and_read_law_before_the_tone_curve():
    for level in (0.02, 0.2, 0.8):
        raw = torch.full((1, 1, 256, 256), level)
        noisy = sensor.add_noise(raw, camera(shot=0.05, read=0.01, seed=4))
        assert float(noisy.mean()) == pytest.approx(level, abs=0.001)
        assert float(noisy.var()) == pytest.approx(0.05**2 * level + 0.01**2, rel=0.03)
    dark, bright = (
        sensor.apply(torch.full((1, 3, 64, 64), x), [camera(shot=0.03, read=0.0)]).std() for x in (0.02, 0.6)
    )
    assert dark > 1.3 * bright  # in sRGB values, shot noise is strongest in the shadows


def test_noise_of_frames_and_attempts_is_independent():
    flat = torch.full((1, 3, 64, 64), 0.3)
    base = camera(shot=0.05)
    ways = [base] + [dataclasses.replace(base, **{name: 1}) for name in ("seed", "index", "attempt")]
    noise = [(sensor.apply(flat, [p]) - sensor.apply(flat, [neutral()])).flatten() for p in ways]
    matrix = torch.corrcoef(torch.stack(noise))
    assert (matrix - torch.eye(4)).abs().max() < 0.04


def test_jpeg_at_high_quality_is_close_to_identity_and_at_low_quality_is_not():
    light, _ = dots(50, 70)
    plain = sensor.apply(light, [neutral()])
    error = {q: float((sensor.apply(light, [camera(jpeg=q)]) - plain).abs().mean()) for q in (95.0, 20.0)}
    assert error[95.0] < 1.5 / 255
    assert error[20.0] > 2 * error[95.0]


def test_jpeg_agrees_with_a_real_codec():
    import io

    from PIL import Image

    light, _ = dots(64, 80, sigma=2.0, colour=(1.0, 0.5, 0.2))
    plain = sensor.apply(light, [neutral()])
    mine = sensor.apply(light, [camera(jpeg=60.0)])
    file = io.BytesIO()
    Image.fromarray((plain[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)).save(file, "JPEG", quality=60)
    theirs = torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1) / 255
    assert float((mine[0] - theirs).abs().mean()) < 1.5 / 255


def test_metering_meets_middle_grey():
    light, _ = dots()
    for gain in (0.2, 3.0):
        mean = sensor._luminance(sensor.expose(light * gain, camera(meter=1.0))).mean()
        assert float(mean) == pytest.approx(0.18, rel=1e-4)


def test_white_balance_error_keeps_luminance():
    grey = torch.full((1, 3, 4, 4), 0.3)
    warm = sensor.expose(grey, camera(warm_ev=0.8))
    assert float(torch.log2(warm[0, 0, 0, 0] / warm[0, 2, 0, 0])) == pytest.approx(0.8, abs=1e-4)
    assert float(sensor._luminance(warm)[0, 0, 0, 0]) == pytest.approx(0.3, abs=1e-5)


def test_shade_falls_by_the_ev_asked_for():
    flat = torch.ones(1, 3, 400, 400)
    lit = sensor.illuminate(flat, camera(shade_ev=2.0, shade_deg=0.0))
    assert float(torch.log2(lit[0, 0, 0, -1] / lit[0, 0, 0, 0])) == pytest.approx(2, abs=0.02)
    vignetted = sensor.illuminate(flat, camera(vignette_ev=1.0))
    assert float(torch.log2(vignetted[0, 0, 0, 0] / vignetted[0, 0, 200, 200])) == pytest.approx(-1, abs=0.02)


def test_tone_curves_are_monotone_and_keep_black_and_white():
    ramp = torch.linspace(0, 2, 400).reshape(1, 1, 1, 400).expand(1, 3, 1, 400)
    for p in (camera(shoulder=0.2, headroom_ev=1.0), camera(contrast=1.6), camera(gamma=0.6, shoulder=0.05)):
        curve = sensor.tone(ramp, p)[0, 0, 0]
        assert (curve.diff() >= -1e-6).all()
        assert float(curve[0]) < 0.01
        assert float(curve[-1]) > 0.99


def test_equalised_pictures_have_a_flat_histogram():
    light, _ = dots(64, 64, sigma=14.0)
    light = light + 0.1 * torch.rand(light.shape[-2:], generator=torch.Generator().manual_seed(1))
    flat = sensor.apply(light, [camera(gray=True, equalise=True)])[0, 0].flatten().sort().values
    assert float((flat - torch.linspace(0, 1, len(flat))).abs().mean()) < 0.02


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (100, 60), (255, 129), (32, 500)])
@pytest.mark.parametrize("name", builtin_profiles())
def test_smoke_any_size(name, size):
    light = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(2))
    picture = sensor.apply(light, [draw(Profile.load(name), 1, 2, px_per_mm=8.0)])
    assert picture.shape == light.shape
    assert picture.isfinite().all()
    assert picture.min() >= 0
    assert picture.max() <= 1


def test_extreme_values_stay_finite():
    light = torch.tensor([0.0, 1e6, 65504.0, 1e-8]).repeat(3, 16, 16)[None]
    for seed in range(6):
        assert sensor.apply(light, [draw(Profile.load("webcam"), seed, 0, px_per_mm=3.0)]).isfinite().all()


def test_a_wrong_shape_is_refused():
    with pytest.raises(ValueError, match=r"expected \(2, 3, H, W\) for 2 cameras, got \(1, 3, 8, 8\)"):
        sensor.apply(torch.zeros(1, 3, 8, 8), [neutral(), neutral()])


@pytest.mark.parametrize("name", builtin_profiles())
def test_a_picture_does_not_depend_on_its_neighbours(name):
    profile = Profile.load(name)
    light = torch.rand(4, 3, 40, 56, generator=torch.Generator().manual_seed(3))
    cameras = [draw(profile, 9, index, px_per_mm=5.0) for index in range(4)]
    together = sensor.apply(light, cameras)
    for n in (3, 0):
        assert torch.equal(together[n : n + 1], sensor.apply(light[n : n + 1], [cameras[n]]))
    assert torch.equal(together[[2, 1]], sensor.apply(light[[2, 1]], [cameras[2], cameras[1]]))


def test_the_number_of_threads_changes_no_bit():
    light = torch.rand(1, 3, 200, 240, generator=torch.Generator().manual_seed(3))
    p = draw(Profile.load("webcam"), 9, 1, px_per_mm=5.0)
    try:
        pictures = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            pictures.append(sensor.apply(light, [p]))
    finally:
        torch.set_num_threads(1)
    assert torch.equal(*pictures)


def test_the_pipeline_is_differentiable():
    light = torch.rand(1, 3, 32, 40, generator=torch.Generator().manual_seed(5)).requires_grad_()
    for name in builtin_profiles():
        p = dataclasses.replace(draw(Profile.load(name), 1, 3, px_per_mm=8.0), equalise=True)
        (gradient,) = torch.autograd.grad(sensor.apply(light, [p]).square().mean(), light)
        assert gradient.isfinite().all()
        assert gradient.abs().max() > 0


def test_gradcheck_of_the_smooth_stages():
    light = 0.2 + 0.5 * torch.rand(1, 3, 6, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(6))
    p = camera(
        shade_ev=0.5,
        meter=0.5,
        flare=0.05,
        warm_ev=0.2,
        saturation=1.2,
        shoulder=0.1,
        contrast=1.2,
        gamma=0.9,
        headroom_ev=1.0,
    )
    kernel = sensor.point_spread(camera(blur_px=0.6))

    def smooth(x):
        return sensor.tone(sensor.colour(sensor.spread(sensor.expose(sensor.illuminate(x, p), p), kernel), p), p)

    assert torch.autograd.gradcheck(smooth, (light.requires_grad_(),))


GRADE = Grade((0.42, -0.05, 0.08), (0.11, 0.02, 0.03))


def scene(height=40, width=60):
    """Return a smooth colour scene (1, 3, H, W) whose middle differs from its rim."""
    y, x = torch.linspace(-1, 1, height)[:, None], torch.linspace(-1, 1, width)
    shape = 0.5 + 0.2 * torch.sin(3 * x + 2 * y) - 0.15 * torch.hypot(x, y)
    channels = [shape + 0.04 * torch.sin(a * x + b * y) for a, b in ((3, 1), (2, 4), (5, 2))]
    return torch.stack(channels)[None]


@pytest.mark.parametrize("crop", [1.0, 0.6])
def test_a_graded_picture_has_the_statistics_it_was_given(crop):
    graded = sensor.graded(scene(), [dataclasses.replace(GRADE, crop=crop)])
    luma = 0.299 * graded[:, 0] + 0.587 * graded[:, 1] + 0.114 * graded[:, 2]
    rows, columns = (slice(round(n * (1 - crop) / 2), n - round(n * (1 - crop) / 2)) for n in (40, 60))
    for n, seen in enumerate((luma, graded[:, 2] - luma, graded[:, 0] - luma)):
        middle = seen[:, rows, columns]
        assert float(middle.mean()) == pytest.approx(GRADE.mean[n], abs=1e-3)
        assert float(middle.std(correction=0)) == pytest.approx(GRADE.deviation[n], abs=1e-3)


def test_a_grade_is_as_strong_as_it_says_and_stretches_no_flat_wall():
    picture = scene()
    full, half, none = (sensor.graded(picture, [dataclasses.replace(GRADE, strength=s)]) for s in (1.0, 0.5, 0.0))
    assert torch.equal(none, picture)
    assert torch.allclose(half, (full + picture) / 2, atol=1e-6)
    wall = 0.4 + 0.001 * torch.randn(1, 3, 40, 60, generator=torch.Generator().manual_seed(1))
    assert float(sensor.graded(wall, [GRADE]).std((2, 3)).max()) < 0.01


def test_a_picture_takes_the_grade_that_asks_least_of_it():
    dark, bright = (dataclasses.replace(GRADE, mean=(luma, 0.0, 0.05)) for luma in (0.2, 0.7))
    for gain, wanted in ((0.4, 0.2), (1.4, 0.7)):
        graded = sensor.graded((gain * scene()).clamp(0, 1), [dark, bright])
        assert float(sensor.statistics(graded)[0][0, 0]) == pytest.approx(wanted, abs=0.02)


def test_a_grade_is_differentiable():
    light = scene(6, 8).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: sensor.graded(x, [GRADE]), (light,))


def test_params_survive_json():
    p = draw(Profile.load("phone"), 7, 11, px_per_mm=4.0, attempt=1)
    graded = dataclasses.replace(p, grades=(GRADE, GRADE))
    assert json.loads(json.dumps(graded.to_data())) == graded.to_data()
    assert SensorParams.from_data(graded.to_data()) == graded
    assert SensorParams.from_data(json.loads(json.dumps(p.to_data()))) == p
    with pytest.raises(RecipeError, match="unknown key 'jpg'; did you mean 'jpeg'"):
        SensorParams.from_data(p.to_data() | {"jpg": 3})
    with pytest.raises(RecipeError, match="needs the key 'scale'"):
        SensorParams.from_data({k: v for k, v in p.to_data().items() if k != "scale"})


def test_milder_cameras_end_at_the_ideal_one():
    p = dataclasses.replace(draw(Profile.load("webcam"), 7, 11, px_per_mm=9.0), grades=(GRADE,))
    plain = milder(p, 0.0)
    light = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    assert torch.equal(sensor.apply(light, [plain]), sensor.apply(light, [neutral()]))
    half = milder(p, 0.5)
    assert half.jpeg == pytest.approx((100 + p.jpeg) / 2)
    assert half.scale == pytest.approx((1 + p.scale) / 2)
    assert half.grades[0].strength == 0.5


def test_a_new_parameter_reshuffles_no_other():
    profile = Profile.load("webcam")
    fewer = dataclasses.replace(profile, dists={k: v for k, v in profile.dists.items() if k != "flare"})
    a, b = (draw(x, 3, 4, px_per_mm=5.0) for x in (profile, fewer))
    assert dataclasses.replace(a, flare=0.0) == b


def test_resolution_is_physical():
    profile = Profile.from_data({"version": 1, "sensor": {"px_per_mm": 2.0}})
    assert draw(profile, 0, 0, px_per_mm=8.0).scale == 0.25
    assert draw(profile, 0, 0, px_per_mm=1.0).scale == 1.0  # a camera adds no detail that was not rendered
    assert draw(profile, 0, 0).scale == 1.0


def test_a_view_takes_labels_along():
    light, centre = dots(120, 160, sigma=4.0, centre=(85.3, 64.2))
    views = ((View(crop=0.6, width=60, height=36), (36, 60)), (View(), (90, 90)), (View(crop=0.8), (120, 160)))
    for how, size in views:
        seen, matrix = sensor.view(light, how, None if how.width or how.crop < 1 else size)
        assert tuple(seen.shape[-2:]) == size
        expected = matrix @ [*centre, 1]
        assert math.dist(centroid(seen), expected[:2]) < 0.06


def test_every_parameter_has_a_neutral_default_within_its_limits():
    for name, (spec, kind) in parameters().items():
        value = getattr(neutral(), name)
        assert spec.check(value, kind, name) == value
        assert spec.doc
