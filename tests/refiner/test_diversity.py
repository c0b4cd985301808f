"""Coverage, Vendi score and factors: what their definitions say, floors, and words for what is missing."""

import json
import re

import numpy as np
import pytest
import torch

from facewright.cli import main
from facewright.errors import UserError
from facewright_refiner import diversity, encoder
from facewright_refiner.diversity import Factor, compare, vendi, wasserstein

QUIET = {"log": lambda text: None}


def test_coverage_is_what_its_definition_says():
    real = torch.tensor([[0.0], [1.0], [2.0], [3.0], [10.0], [11.0], [12.0], [13.0]])
    # radii 2, 1, 1, 2 in both groups; their open balls hold 2, 1, 1, 2 points: 12 over 8 points and k = 2
    assert diversity.coverage(real, real, k=2) == (1.0, 0.75)
    near_half = diversity.coverage(real, torch.tensor([[1.5], [1.6]]), k=2)
    assert near_half.coverage == 0.5  # 0 reaches 2, 1 and 2 reach 1, 3 reaches 1; the far four hold nothing
    assert diversity.coverage(real, torch.tensor([[100.0]]), k=2) == (0.0, 0.0)
    with pytest.raises(UserError, match="more than 5 real pictures, got 4"):
        diversity.coverage(real[:4], real)


def test_layouts_tell_mirrored_pictures_apart_and_ignore_brightness():
    pictures = torch.rand(30, 3, 24, 40, generator=torch.Generator().manual_seed(0))
    pictures = torch.nn.functional.avg_pool2d(pictures, 5, 1, 2)
    known = diversity.layouts(pictures, pictures)
    assert known.shape == (30, 24)
    assert torch.allclose(known.std(0), torch.ones(24), atol=0.05)
    # a picture that is brighter by a constant has the same layout
    assert torch.cdist(diversity.layouts(pictures + 0.2, pictures), known).diagonal().max() < 0.5
    assert torch.cdist(diversity.layouts(pictures.flip(-1), pictures), known).diagonal().median() > 2


def test_vendi_counts_different_points():
    corners = torch.tensor([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0], [9.0, 9.0]])
    assert vendi(corners, 1) == pytest.approx(4, abs=1e-6)
    assert vendi(corners.repeat(3, 1), 1) == pytest.approx(4, abs=1e-6)
    assert vendi(torch.zeros(5, 2), 1) == pytest.approx(1, abs=1e-6)


def test_wasserstein_of_a_shift_is_the_shift_and_ignores_what_is_not_known():
    values = np.random.default_rng(0).normal(size=400)
    assert wasserstein(values, values) == 0
    assert wasserstein(values, np.append(values + 2.5, np.nan)) == pytest.approx(2.5)


def blobs(count, seed, dark=0.0, yellow=0.0):
    """Return soft random pictures; a share of them is dark, and all are as yellow as asked."""
    random = torch.Generator().manual_seed(seed)
    small = torch.rand(count, 3, 5, 6, generator=random)
    pictures = torch.nn.functional.interpolate(small, size=(40, 48), mode="bicubic").clamp(0, 1)
    pictures[: int(dark * count)] *= 0.3
    pictures[:, 2] *= 1 - yellow
    return pictures


def test_dark_pictures_that_we_lack_and_yellow_ones_that_we_have_are_named(monkeypatch):
    monkeypatch.setattr(encoder, "STEPS", 15)
    real, made = blobs(90, 1, dark=0.3), blobs(60, 2, yellow=0.5)
    groups = [str(n) for n in range(90)]
    found = compare(real, made, groups, **QUIET)
    dark = next(f for f in found.findings if f.factor == "brightness" and f.lacking)
    assert dark.words == "that are dark"
    assert dark.below
    assert dark.real == pytest.approx(0.3, abs=0.08)
    assert dark.made < 0.1
    colour = [finding for finding in found.findings if finding.factor == "colour temperature"]
    assert colour
    assert all(finding.lacking == (finding.words == "in cold light") for finding in colour)
    for name in ("brightness", "colour temperature"):
        ours, floor = found.distances[name]
        assert ours.low > floor.high
    for rows in found.spaces.values():
        assert rows["coverage"].value < rows["coverage floor"].value
        assert rows["coverage"].low <= rows["coverage"].value <= rows["coverage"].high
    assert set(found.uncovered) & set(range(27))  # dark ones
    json.dumps(found.to_data(), allow_nan=False)


def test_a_second_half_of_the_same_set_has_nothing_to_tell(monkeypatch):
    monkeypatch.setattr(encoder, "STEPS", 15)
    pictures = blobs(150, 3)
    found = compare(pictures[:90], pictures[90:], [str(n) for n in range(90)], **QUIET)
    assert len(found.findings) <= 2
    for rows in found.spaces.values():
        assert rows["coverage"].value == pytest.approx(rows["coverage floor"].value, abs=0.12)


def test_the_report_has_a_section_beside_real_pictures(painted, monkeypatch, capsys):
    monkeypatch.setattr(encoder, "STEPS", 5)
    page = painted / "page.html"
    assert main(["report", str(painted / "renders"), "--real", str(painted / "real"), "-o", str(page)]) == 0
    html = page.read_text(encoding="utf-8")
    assert "Beside real pictures" in html
    assert "too few pictures that are dark" in html  # every second one was darkened
    assert "estimators need 60 frames, and there are 20" in html
    assert "nan" not in re.sub(r"base64,[^\"]+", "", html)
    data = json.loads(page.with_suffix(".json").read_text())
    assert (data["made"], data["real"]) == (20, 40)
    assert {row["name"] for row in data["factors"]} >= set(diversity.MEASURED) - {"skin tone"}  # diagrams have no skin
    assert capsys.readouterr().out.strip() == str(page)
    assert main(["report", str(painted / "renders"), "--real", str(painted / "nothing")]) == 2
    assert "no such folder" in capsys.readouterr().err


def test_findings_name_the_tail_and_both_shares():
    random = np.random.default_rng(0)
    factor = Factor(
        "gaze yaw", "°", "looking right", "looking left", random.normal(0, 20, 400), random.normal(0, 5, 300)
    )
    splits = [diversity._split([str(n) for n in range(400)], 0, k) for k in range(20)]
    low, high = sorted(diversity._findings(factor, splits), key=lambda finding: finding.threshold)
    assert (low.below, low.words, high.below, high.words) == (True, "looking right", False, "looking left")
    assert low.lacking
    assert high.lacking
    assert "too few pictures looking left (gaze yaw above" in high.sentence()


def test_colour_temperature_and_skin_tone_of_known_colours():
    white, warm = torch.ones(1, 3, 8, 8), torch.ones(1, 3, 8, 8) * torch.tensor([1.0, 0.75, 0.45])[:, None, None]
    assert diversity.colour_temperature(white)[0] == pytest.approx(6504, abs=30)  # D65
    assert diversity.colour_temperature(warm)[0] < 4000
    tones = [
        torch.tensor(rgb)[None, :, None, None].expand(1, 3, 8, 8) / 255 for rgb in ([236.0, 188, 180], [110.0, 70, 50])
    ]
    light, dark = (diversity.skin_tone(tone, diversity.rgb_to_lab(tone))[0] for tone in tones)
    assert light > 55
    assert dark < -10
    assert np.isnan(diversity.skin_tone(white * 0.0, diversity.rgb_to_lab(white * 0.0))[0])


def test_too_few_pictures_are_refused():
    with pytest.raises(UserError, match="20 pictures of each kind, got 5 made ones"):
        compare(blobs(30, 1), blobs(5, 2), [str(n) for n in range(30)], **QUIET)


def test_the_encoder_is_deterministic_and_does_not_collapse():
    pictures = blobs(40, 4)
    features = [encoder.encode(encoder.train_encoder(pictures, 5, 8), pictures) for _ in range(2)]
    assert torch.equal(*features)
    assert (features[0].std(0) > 1e-4).float().mean() > 0.9


def test_vicreg_punishes_disagreement_and_collapse():
    random = torch.Generator().manual_seed(0)
    spread = torch.randn(64, 16, generator=random) * 1.2
    agreeing = encoder.vicreg(spread, spread)
    assert encoder.vicreg(spread, spread.roll(1, 0)) > agreeing + 10
    assert encoder.vicreg(spread * 0.01, spread * 0.01) > agreeing + 10
    assert encoder.vicreg(spread[:, :1].expand(-1, 16), spread[:, :1].expand(-1, 16)) > agreeing + 10
