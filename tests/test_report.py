"""The report is one page that needs nothing else and shows what the dataset holds."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from facewright import Recipe, sample
from facewright.dataset import overlay
from facewright.dataset.card import Card
from facewright.dataset.report import bars, histogram, report
from facewright.dataset.writer import open_for_writing
from facewright.mock import MockRenderer
from facewright.render import Check
from facewright.schema import CELEBAMASK_HQ, Label

RECIPE = Recipe.load("face", ["image.width=64", "image.height=64"])


@pytest.fixture
def folder(tmp_path):
    with open_for_writing(tmp_path, Card.of(RECIPE, 1).extended(0, 5)) as writer, MockRenderer() as render:
        for index in range(4):
            made = render(sample(RECIPE, 1, index), RECIPE.outputs)
            made.checks = [Check("pupil centre px", 0.1 * (index + 1), 0.5)]
            if index == 2:
                made.layers["refined"] = made.rgb // 2
            writer.write(made)
        writer.quarantine(4, "frame 4: <b>depth</b> is 3 mm, limit 1", {})
    return tmp_path


class Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.figures, self.images, self.links = [], 0, [], []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.figures += tag == "figure"
        self.links += [attrs[name] for name in ("src", "href") if name in attrs]
        if tag not in ("meta", "img", "input", "link", "br", "circle", "rect", "path", "polygon", "polyline"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag in ("circle", "rect", "path", "polygon", "polyline"):
            return
        assert self.open.pop() == tag


def page_of(folder):
    report(folder, folder / "report.html")
    html = (folder / "report.html").read_text(encoding="utf-8")
    page = Page()
    page.feed(html)
    assert page.open == []
    return html, page


def test_the_page_is_well_formed_and_needs_no_network(folder):
    html, page = page_of(folder)
    assert page.figures == 4
    assert all(link.startswith("data:image/") for link in page.links)
    assert not re.search(r"https?://|@import|<link|<script src", html)


def test_the_page_shows_pictures_labels_distributions_and_failures(folder):
    html, _ = page_of(folder)
    for text in (
        "frame 2, refined",
        'data-show="seg"',
        'data-show="refined"',
        "m-visual",
        "m-optical",
        "m-landmarks",
        "left iris",
        "gaze yaw",
        "head pose",
        "brightness",
        "age",
        "gender",
        "main ancestry",
        "skin melanin",
        "iris melanin",
        "pupil",
        "pupil centre px",
        "frame 4: &lt;b&gt;depth",
        "1 frame failed",
        RECIPE.digest,
    ):
        assert text in html, text


def test_a_dataset_without_frames_has_a_page_too(tmp_path):
    with open_for_writing(tmp_path, Card.of(RECIPE, 1)):
        pass
    html, _ = page_of(tmp_path)
    assert "No frames yet" in html


def test_a_damaged_frame_is_listed_not_fatal(folder):
    (folder / "frames/000001.seg.png").write_bytes(b"rotten")
    html, page = page_of(folder)
    assert page.figures == 3
    assert "000001.seg.png is damaged" in html


def test_a_constant_and_a_lonely_value_have_charts():
    assert "mean 3" in histogram("x", [3.0, 3.0], "").note
    assert bars("x", __import__("collections").Counter("a")).note == "1 kinds"


def test_background_is_transparent_and_classes_have_their_colours():
    picture = overlay.label_picture(np.array([[0, Label.LEFT_IRIS]], np.uint8)).convert("RGBA")
    assert picture.getpixel((0, 0))[3] == 0
    assert picture.getpixel((1, 0)) == (*overlay.PALETTE[Label.LEFT_IRIS], 255)


def test_the_page_counts_classes_and_charts_attributes(folder):
    html, _ = page_of(folder)
    rows = dict(re.findall(r"<tr><td>(\w+)</td><td>(\d+)</td><td>[\d.]+ %</td></tr>", html))
    assert list(rows) == CELEBAMASK_HQ
    assert rows["skin"] == "4"
    assert rows["hat"] == "0"
    for name in ("subject.head.age_years", "subject.hair.melanin", "light.hdri", "pose.head_yaw_deg"):
        assert name in html
