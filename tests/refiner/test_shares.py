"""Shares of classes are recovered from answers that mix them up, and people of a recipe are found in these shares."""

import numpy as np
import pytest

from facewright import Recipe, sample
from facewright.attributes import drawn
from facewright_refiner.knobs import FACTORS
from facewright_refiner.matching import fitted_factors, proposal, rows_of
from facewright_refiner.shares import Answers, Shares, fit_shares, rake, table

MOUTH = next(factor for factor in FACTORS if factor.name == "mouth")
HAIR = next(factor for factor in FACTORS if factor.name == "hair")
EQUAL = (0.25, 0.25, 0.25, 0.25)
HIDDEN = (0.2, 0.1, 0.6, 0.1)


@pytest.fixture(scope="module")
def rows():
    return rows_of(Recipe.load("face"), 0, 150)


def estimates(classes, random, blur=0.33, shift=0.0):
    """Return estimates (N, 4) of classes (N,), of which grins (2) often look like open mouths (3)."""
    found = np.eye(4)[classes] * 0.6 + 0.1
    alike = (classes == 2) & (random.random(len(classes)) < 0.35)
    found[alike] = np.eye(4)[3] * 0.6 + 0.1
    return found + random.normal(shift, blur * 0.5, found.shape)


def answers(real=300, renders=240, **how):
    random = np.random.default_rng(3)
    known, hidden = random.integers(0, 4, renders), random.choice(4, real, p=HIDDEN)
    return Answers(known, estimates(known, random, **how), estimates(hidden, random, **how)), hidden


def names(count):
    return [str(n) for n in range(count)]


def shares_of(factor, after):
    return Shares(factor.name, factor.classes, 1.0, after, after)


def test_hidden_shares_are_recovered_within_their_intervals():
    found, hidden = answers()
    truth = np.bincount(hidden, minlength=4) / len(hidden)
    fit = fit_shares(MOUTH, EQUAL, found, names(300), 0)
    assert sum(fit.after) == pytest.approx(1)
    for value, low, high in zip(truth, fit.low, fit.high, strict=True):
        assert low <= value <= high
    assert np.abs(np.subtract(fit.after, truth)).max() < 0.06
    # what pictures are taken for, without the correction, says otherwise: a third of the grins is missed
    taken = np.bincount(found.wanted.argmax(1), minlength=4) / 300
    assert np.abs(taken - truth).max() > 0.12
    assert max(np.subtract(fit.high, fit.low)) < 0.3


def test_a_factor_that_cannot_be_told_stays_and_says_why():
    weak = fit_shares(MOUTH, EQUAL, answers(blur=1.6)[0], names(300), 0)
    assert weak.after is None
    assert "of the variance, less than 0.4" in weak.why
    found, _ = answers()
    foreign = found._replace(wanted=found.wanted + np.where(np.arange(300)[:, None] < 150, 4.0, 0.0))
    assert (
        "50 % of the real pictures look to its estimator like no render"
        in fit_shares(MOUTH, EQUAL, foreign, names(300), 0).why
    )
    kept = (found.known != 3) | (np.cumsum(found.known == 3) <= 4)
    scarce = found._replace(known=found.known[kept], seen=found.seen[kept])
    assert "fewer than 5 renders show open" in fit_shares(MOUTH, EQUAL, scarce, names(300), 0).why


def test_classes_that_look_alike_become_one_and_the_others_are_told(rows):
    found, hidden = answers()
    random = np.random.default_rng(5)

    def alike(estimates):  # nothing tells shut lips (0) from a smile (1)
        lots = np.where(random.random(len(estimates)) < 0.5, 1, -1) * 0.6
        middle = estimates[:, :2].mean(1)
        return np.column_stack([middle + lots, middle - lots, estimates[:, 2:]])

    fit = fit_shares(MOUTH, EQUAL, found._replace(seen=alike(found.seen), wanted=alike(found.wanted)), names(300), 0)
    assert fit.classes == ("shut or smile", "grin", "open")
    assert fit.before == (0.5, 0.25, 0.25)
    truth = np.array([np.mean(hidden < 2), np.mean(hidden == 2), np.mean(hidden == 3)])
    assert np.abs(np.subtract(fit.after, truth)).max() < 0.08
    weights = rake(rows, [(MOUTH, fit)])
    calm = np.array([MOUTH.of(row) in ("shut", "smile") for row in rows])
    assert weights[calm].sum() == pytest.approx(fit.after[0], abs=1e-6)
    smiles = np.array([MOUTH.of(row) == "smile" for row in rows])
    assert weights[smiles].sum() / weights[calm].sum() == pytest.approx(smiles.sum() / calm.sum(), abs=1e-6)


def test_few_pictures_leave_a_factor_as_it_is():
    found, _ = answers(real=5)
    assert "standard deviations only" in fit_shares(MOUTH, EQUAL, found, names(5), 0).why


def test_siblings_among_real_pictures_count_once():
    found, _ = answers()
    alone = fit_shares(MOUTH, EQUAL, found, names(300), 0)
    kin = fit_shares(MOUTH, EQUAL, found, [str(n // 10) for n in found.wanted[:, 2].argsort().argsort()], 0)
    assert kin.high[2] - kin.low[2] > alone.high[2] - alone.low[2]


def test_people_are_found_in_the_wanted_shares_and_stay_what_they_are(rows):
    wanted = (0.05, 0.15, 0.1, 0.7)
    weights = rake(rows, [(HAIR, shares_of(HAIR, wanted))])
    classes = np.array([HAIR.of(row) for row in rows])
    for name, share in zip(HAIR.classes, wanted, strict=True):
        assert weights[classes == name].sum() == pytest.approx(share, abs=1e-6)
    men = np.array([row["subject.head.gender"] > 0.5 for row in rows])
    for name in HAIR.classes:  # who wears what is the recipe's own decision
        here = classes == name
        assert weights[here & men].sum() / weights[here].sum() == pytest.approx(men[here].mean(), abs=1e-6)
    made = table(rows, [HAIR], weights, ("subject.head.age_years",))
    assert "subject.head.gender" in made["fields"]
    assert "subject.head.age_years" not in made["fields"]
    column = made["fields"].index("subject.hair.style")
    loose = np.mean([HAIR.of({"subject.hair.style": row[column]}) == "long" for row in made["rows"]])
    assert loose == pytest.approx(0.7, abs=0.02)


def test_two_factors_get_their_shares_at_once(rows):
    sex = next(factor for factor in FACTORS if factor.name == "sex")
    wanted = ((HAIR, (0.2, 0.2, 0.2, 0.4)), (sex, (0.7, 0.3)))
    weights = rake(rows, [(factor, shares_of(factor, shares)) for factor, shares in wanted])
    for factor, shares in wanted:
        for name, share in zip(factor.classes, shares, strict=True):
            have = weights[[factor.of(row) == name for row in rows]].sum()
            assert have == pytest.approx(share, abs=0.01)


def test_a_proposal_has_enough_of_every_class_and_keeps_what_the_user_holds(rows):
    recipe = Recipe.load("face", ["subject.wear.glasses.kind=clear"])
    held = [row | {"subject.wear.glasses.kind": "clear"} for row in rows]
    assert "glasses" not in [factor.name for factor in fitted_factors(recipe, held)]
    wide = proposal(recipe, {}, (64, 64), held)
    made = [drawn(sample(wide, 0, n).to_data()) for n in range(120)]
    assert {row["subject.wear.glasses.kind"] for row in made} == {"clear"}
    for factor in fitted_factors(recipe, held):
        counts = [sum(factor.of(row) == name for row in made) for name in factor.classes]
        assert min(counts) >= 5, factor.name
    assert fitted_factors(Recipe.load("eye_rgb"), held) == ()


def test_moods_show_what_their_class_says():
    row = {"expression.intensity": 0.9}
    wanted = {"neutral": "shut", "smile": "smile", "grin": "grin", "laugh": "grin", "speech_a": "open", "yawn": "open"}
    assert {mood: MOUTH.of(row | {"expression.mood": mood}) for mood in wanted} == wanted
    assert MOUTH.of({"expression.mood": "smile", "expression.intensity": 0.3}) == "shut"
