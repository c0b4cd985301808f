"""Matching recovers a hidden distribution from biased, noisy estimates, and leaves alone what it cannot tell."""

import json

import numpy as np
import pytest
import yaml
from PIL import Image

from facewright import Recipe, sample
from facewright.cli import main
from facewright.dataset.card import Card
from facewright.dataset.writer import open_for_writing
from facewright.errors import DatasetError
from facewright.mock import MockRenderer
from facewright_refiner import deconvolution, estimators, fits, keypoints, matching, shares
from facewright_refiner.fits import Readings, fit_group
from facewright_refiner.knobs import KNOBS
from facewright_refiner.matching import fitted_knobs, match, proposal, rows_of
from facewright_refiner.pictures import find_pictures

BOUNDS = {knob.path: knob.bounds(300.0) for knob in KNOBS}


def readings(knobs, hidden, noise=0.08, score=0.8, renders=240, foreign=0.0):
    """Return what estimators read that shrink, bend and shift the truth; `hidden` maps paths to the real values."""
    random = np.random.default_rng(7)
    found = Readings({}, {}, {}, {}, {})
    for knob in knobs:
        low, high = BOUNDS[knob.path]
        middle, width = (low + high) / 2, high - low

        def read(values, middle=middle, width=width):
            place = (values - middle) / width
            return 5 + 0.6 * place - 0.3 * place**2 + random.normal(0, noise, len(values))

        real = read(hidden[knob.path])
        real[: int(foreign * len(real))] += 9
        found.scores[knob.label] = score
        found.values[knob.path] = random.uniform(low, high, renders)
        found.renders[knob.label] = read(found.values[knob.path])
        found.real[knob.label] = real
    return found


def group(name):
    return [knob for knob in KNOBS if knob.group == name]


def before(knobs):
    return {knob.path: np.linspace(*BOUNDS[knob.path], 50) for knob in knobs}


def names(count):
    return [str(n) for n in range(count)]


def test_a_hidden_distribution_is_recovered_within_its_interval():
    knobs = group("exposure")
    hidden = np.random.default_rng(1).normal(-0.6, 0.4, 300)
    found = readings(knobs, {"image.exposure_ev": hidden})
    found_fits, values = fit_group(knobs, BOUNDS, found, before(knobs), names(300), 0)
    fit = found_fits["image.exposure_ev"]
    assert fit.low.mean <= hidden.mean() <= fit.high.mean
    assert fit.low.sd <= hidden.std() <= fit.high.sd
    assert fit.high.mean - fit.low.mean < 0.3
    assert values["image.exposure_ev"].mean() == pytest.approx(fit.after.mean, abs=0.03)
    # taken as they are, the estimates' spread would say otherwise: noise of 0.08 widths of 4 EV over a slope of 0.6
    assert abs(fit.after.sd - hidden.std()) < 0.15


def test_two_parameters_keep_their_correlation():
    knobs = group("gaze")
    random = np.random.default_rng(2)
    yaw = random.normal(0, 10, 300).clip(-29, 29)
    pitch = (-3 + 0.5 * yaw + random.normal(0, 3, 300)).clip(-24, 19)
    hidden = {"gaze.yaw_deg": yaw, "gaze.pitch_deg": pitch}
    found_fits, values = fit_group(knobs, BOUNDS, readings(knobs, hidden, noise=0.04), before(knobs), names(300), 0)
    assert found_fits["gaze.yaw_deg"].low.mean - 1 <= yaw.mean() <= found_fits["gaze.yaw_deg"].high.mean + 1
    assert np.corrcoef(values["gaze.yaw_deg"], values["gaze.pitch_deg"])[0, 1] > 0.6


def test_three_narrow_parameters_do_not_come_down_to_a_few_values():
    """Places spread evenly in three dimensions lie a twelfth of the range apart: these spread a sixth, and less."""
    random = np.random.default_rng(3)
    known = random.uniform(-1, 1, (300, 3))
    seen = known + 0.06 * random.standard_normal((300, 3))
    truth = np.array([0.3, 0.0, -0.2]) + np.array([0.15, 0.05, 0.05]) * random.standard_normal((400, 3))
    wanted = truth + 0.06 * random.standard_normal((400, 3))
    found = deconvolution.deconvolve(known, seen, wanted, [str(n) for n in range(400)], 0)
    mean = found.weights @ found.atoms
    spread = np.sqrt(found.weights @ (found.atoms - mean) ** 2)
    assert np.allclose(mean, truth.mean(0), atol=0.02)
    assert np.allclose(spread, truth.std(0), atol=0.025)
    assert len(np.unique(found.rows, axis=0)) > 50


def test_what_an_estimator_cannot_tell_stays_and_says_why():
    knobs = group("exposure")
    hidden = {"image.exposure_ev": np.full(200, 0.3)}
    weak, values = fit_group(knobs, BOUNDS, readings(knobs, hidden, score=0.1), before(knobs), names(200), 0)
    assert weak["image.exposure_ev"].after is None
    assert "explains 0.10 of the variance, less than 0.3" in weak["image.exposure_ev"].why
    assert values == {}
    alien, _ = fit_group(knobs, BOUNDS, readings(knobs, hidden, foreign=0.5), before(knobs), names(200), 0)
    assert "50 % of the real pictures look to its estimator like no render" in alien["image.exposure_ev"].why


def test_few_pictures_widen_the_interval_until_the_parameter_stays():
    knobs = group("exposure")
    hidden = np.random.default_rng(1).normal(-0.1, 0.4, 300)
    narrow = {"image.exposure_ev": np.linspace(-0.5, 0.5, 50)}
    many, few = (
        fit_group(knobs, BOUNDS, readings(knobs, {"image.exposure_ev": hidden[:n]}, noise=0.15), narrow, names(n), 0)[0]
        for n in (300, 8)
    )
    assert many["image.exposure_ev"].width < fits.SURE
    assert few["image.exposure_ev"].after is None
    assert "standard deviations only" in few["image.exposure_ev"].why


def test_renders_bound_what_can_be_fitted():
    knobs = group("exposure")
    found = readings(knobs, {"image.exposure_ev": np.random.default_rng(1).normal(-0.6, 0.4, 300)})
    kept = found.values["image.exposure_ev"] > -0.9
    found.values["image.exposure_ev"] = found.values["image.exposure_ev"][kept]
    found.renders["exposure"] = found.renders["exposure"][kept]
    _, values = fit_group(knobs, BOUNDS, found, before(knobs), names(300), 0)
    assert min(values.get("image.exposure_ev", [0.0])) >= -0.9


def test_a_proposal_spreads_what_varies_and_keeps_what_the_user_holds():
    recipe = Recipe.load("face", ["subject.head.age_years=30", "gaze.reference=camera"])
    knobs = fitted_knobs(recipe)
    assert "subject.head.age_years" not in [knob.path for knob in knobs]
    wide = proposal(recipe, {knob.path: BOUNDS[knob.path] for knob in knobs}, (64, 48))
    drawn = [sample(wide, 0, n) for n in range(60)]
    assert {one.subject.head.age_years for one in drawn} == {30.0}
    assert {one.gaze.reference for one in drawn} == {"camera"}
    assert np.std([one.pose.head_yaw_deg for one in drawn]) == pytest.approx(
        0.88 * 110 / 4, rel=0.2
    )  # a normal cut at 2 sd
    assert (drawn[0].image.width, drawn[0].image.height) == (48, 64)


def test_the_command_writes_a_recipe_that_says_what_was_fitted(painted, monkeypatch, capsys):
    monkeypatch.setattr(keypoints, "STEPS", 12)
    monkeypatch.setattr(deconvolution, "DRAWS", 4)
    monkeypatch.setattr(estimators, "LEAST_RENDERS", 20)
    monkeypatch.setattr(fits, "SURE", 99.0)
    monkeypatch.setattr(fits, "PROVEN", -9.0)  # twelve steps prove nothing; what is written is the point
    target = painted / "eye.yaml"
    command = ["match", "--real", str(painted / "real"), "--recipe", "eye_rgb", "-o", str(target)]
    assert main([*command, "--renders", str(painted / "renders")]) == 0
    matched = Recipe.load(target)
    data = json.loads((painted / "eye.match" / "match.json").read_text())
    assert matched.digest == data["recipe"]
    assert matched.name == "eye_rgb_matched"
    assert matched.sampling == "sobol"
    fitted = [fit for fit in data["fits"] if fit["after"]]
    assert fitted
    tables = {path for table in matched.joints for path in table.fields}
    for fit in fitted:
        assert fit["path"] in tables | set(matched.dists)
        assert fit["interval"][0]["mean"] <= fit["interval"][1]["mean"]
        assert f"# {fit['path']}:" in target.read_text()
    assert matched.dists["image.height"].draw(()) == 384  # the aspect of the real pictures, 50 x 30
    assert yaml.safe_load(target.read_text())["name"] == "eye_rgb_matched"
    sample(matched, 0, 0)
    capsys.readouterr()
    said = []
    again = match(
        Recipe.load("eye_rgb"),
        find_pictures(painted / "real"),
        painted / "eye.match",
        renders=painted / "renders",
        log=said.append,
    )
    assert again.recipe == matched
    assert said == ["deconvolving"]  # the estimates were kept


def test_kinds_of_people_are_written_as_people_that_the_recipe_draws(tmp_path, monkeypatch):
    monkeypatch.setattr(keypoints, "STEPS", 3)
    monkeypatch.setattr(deconvolution, "DRAWS", 4)
    monkeypatch.setattr(shares, "DRAWS", 4)
    monkeypatch.setattr(shares, "LEAST_OF_CLASS", 1)
    monkeypatch.setattr(estimators, "LEAST_RENDERS", 20)
    monkeypatch.setitem(matching.PEOPLE, "face", 60)
    for module in (fits, shares):  # three steps prove nothing; what is written is the point
        monkeypatch.setattr(module, "SURE", 99.0)
        monkeypatch.setattr(module, "PROVEN", -99.0)
        monkeypatch.setattr(module, "STRANGE", 1.0)
    recipe = Recipe.load("face", ["image.width=48", "image.height=48"])
    wide = proposal(recipe, {}, (48, 48), rows_of(recipe, 0))
    (tmp_path / "real").mkdir()
    with open_for_writing(tmp_path / "renders", Card.of(wide, 1).extended(0, 40)) as writer, MockRenderer() as render:
        for index in range(40):
            made = render(sample(wide, 1, index), wide.outputs)
            writer.write(made)
            Image.fromarray(made.rgb).save(tmp_path / "real" / f"{index:03}a.png")
    found = match(
        recipe, find_pictures(tmp_path / "real"), tmp_path / "out", renders=tmp_path / "renders", log=lambda text: None
    )
    assert found.shares["hair"].after
    assert "# shares of hair: bare " in (tmp_path / "out" / "recipe.yaml").read_text()
    assert {one["factor"] for one in found.to_data()["shares"]} == set(found.shares)
    people = next(table for table in found.recipe.joints if "subject.hair.style" in table.fields)
    drawn = {row["subject.hair.style"]: row["subject.head.gender"] for row in rows_of(recipe, 0)}
    gender, style = (people.fields.index(path) for path in ("subject.head.gender", "subject.hair.style"))
    assert {row[style] for row in people.rows} <= set(drawn)
    assert any(row[gender] == pytest.approx(drawn[row[style]], abs=1e-3) for row in people.rows)
    assert any("expression.mood" in table.fields for table in found.recipe.joints)
    assert sample(found.recipe, 5, 3).subject.hair.style in drawn


def test_a_set_that_is_too_small_is_refused(painted, tmp_path):
    few = find_pictures(painted / "real")[:12]
    with pytest.raises(DatasetError, match="12 real pictures of different people are too few to fit distributions"):
        match(Recipe.load("eye_rgb"), few, tmp_path, renders=painted / "renders")
