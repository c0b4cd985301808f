"""Haircuts in the field's terms, as numbers for growth.py. Lengths are in mm on an adult, heights on the template.

Template coordinates: x toward the subject's left, y up, z forward from the eyes' middle; brows at y = 17, chin at
-112, shoulders at -150, crown at 119, ears at z = -70, occiput at z = -163.
"""

from __future__ import annotations

from dataclasses import dataclass

Tie = tuple[float, float, float]


@dataclass(frozen=True)
class Style:
    """How hair grows.

    `length_mm` range on top; `sides`, `front` its share there. `flow`: where it is combed, see growth._comb. `lift`
    off the scalp at the root; `fall_mm` after how much length gravity has turned it down (the more, the stiffer).
    `hover_mm` height over the scalp near the root and 100 mm on; `hug` pulls it to that height. `part_mm` x of the
    parting; `ends_mm` range of the height where all hair ends; `layers` how much higher roots end higher; `fringe_mm`
    height of the fringe's ends. `ragged` variation of length. `curl` limits what the subject's own curl may be.
    `clump` strength of locks; `receding` hairline. `ties` where it is bound and `tail` what comes after. `rope` how
    its `locks` are twisted. `density` relative to a full head.
    """

    length_mm: tuple[float, float]
    flow: str
    sides: float = 1.0
    front: float = 1.0
    lift: float = 0.5
    fall_mm: float = 120.0
    hover_mm: tuple[float, float] = (2.0, 8.0)
    hug: float = 0.0
    part_mm: float = 0.0
    ends_mm: tuple[float, float] | None = None
    layers: float = 0.0
    fringe_mm: float | None = None
    ragged: float = 0.25
    curl: tuple[float, float] = (0.0, 1.0)
    clump: float = 0.5
    receding: float = 0.0
    ties: tuple[Tie, ...] = ()
    tail: str = "none"
    tail_mm: tuple[float, float] = (150.0, 300.0)
    rope: str = "none"
    locks: int = 0
    density: float = 1.0


STYLES: dict[str, Style] = {
    "bald": Style((0.5, 1.5), "whorl", lift=0.9, clump=0, receding=0.85, density=0.3),
    "receding": Style((12, 30), "back", lift=0.5, fall_mm=200, ragged=0.35, receding=0.85, density=0.8),
    "buzz": Style((3, 8), "whorl", sides=0.6, lift=1.2, fall_mm=400, clump=0),
    "crew": Style((12, 26), "forward", sides=0.3, front=1.2, lift=1.0, fall_mm=300, clump=0.3),
    "short": Style(
        (28, 55), "whorl", sides=0.55, front=0.55, lift=0.45, fall_mm=110, hover_mm=(3, 8), ragged=0.4,
        clump=0.7, hug=0.1,
    ),
    "textured_crop": Style(
        (35, 55), "forward", sides=0.3, lift=0.7, fall_mm=140, hover_mm=(4, 10), ragged=0.4, clump=0.9, fringe_mm=32
    ),
    "side_part": Style(
        (55, 95), "part", sides=0.35, lift=0.5, fall_mm=200, hover_mm=(4, 12), part_mm=30, clump=0.6, hug=0.15
    ),
    "slicked_back": Style((80, 120), "back", sides=0.7, lift=0.3, fall_mm=250, hover_mm=(3, 7), hug=0.5, clump=0.8),
    "quiff": Style((48, 72), "quiff", sides=0.18, front=1.1, lift=0.3, fall_mm=110, hover_mm=(4, 16), clump=0.8),
    "undercut": Style(
        (90, 130), "part", sides=0.06, lift=0.35, fall_mm=80, hover_mm=(4, 12), part_mm=38, clump=0.7, hug=0.1
    ),
    "curtain": Style(
        (110, 150), "part", sides=0.7, lift=0.35, fall_mm=38, hover_mm=(3, 14), ends_mm=(-45, -10), layers=0.35,
        clump=0.7,
    ),
    "pixie": Style(
        (50, 80), "sweep", sides=0.7, lift=0.3, fall_mm=70, hover_mm=(3, 10), part_mm=34, fringe_mm=24, ragged=0.35,
        clump=0.7,
    ),
    "bob": Style(
        (260, 260), "part", lift=0.2, fall_mm=26, hover_mm=(3, 15), ends_mm=(-105, -70), fringe_mm=19, ragged=0.1,
        clump=0.4, curl=(0, 0.3),
    ),
    "medium": Style(
        (300, 300), "part", lift=0.25, fall_mm=30, hover_mm=(3, 15), part_mm=24, ends_mm=(-150, -110), layers=0.2,
        ragged=0.2, clump=0.6, curl=(0, 0.5),
    ),
    "layered": Style(
        (330, 330), "part", lift=0.3, fall_mm=32, hover_mm=(4, 18), part_mm=14, ends_mm=(-200, -140), layers=0.75,
        ragged=0.3, clump=0.8, curl=(0.1, 0.5),
    ),
    "long": Style(
        (480, 480), "part", lift=0.15, fall_mm=26, hover_mm=(3, 12), ends_mm=(-300, -210), layers=0.15, ragged=0.18,
        clump=0.55, curl=(0, 0.3),
    ),
    "long_wavy": Style(
        (480, 480), "part", lift=0.25, fall_mm=32, hover_mm=(4, 16), part_mm=26, ends_mm=(-290, -200), layers=0.35,
        ragged=0.25, clump=0.8, curl=(0.3, 0.5),
    ),
    "long_fringe": Style(
        (480, 480), "part", lift=0.15, fall_mm=26, hover_mm=(3, 13), ends_mm=(-290, -190), fringe_mm=18, ragged=0.18,
        clump=0.5, curl=(0, 0.3),
    ),
    "curly_short": Style(
        (45, 85), "whorl", sides=0.6, lift=1.1, fall_mm=160, hover_mm=(4, 14), curl=(0.5, 0.85), ragged=0.4, clump=0.9
    ),
    "curly_long": Style(
        (240, 330), "part", lift=0.6, fall_mm=42, hover_mm=(6, 26), part_mm=16, ends_mm=(-215, -130), layers=0.5,
        curl=(0.5, 0.8), ragged=0.35, clump=0.95,
    ),
    "ponytail": Style(
        (260, 260), "tie", lift=0.1, hover_mm=(1.5, 4), hug=0.9, curl=(0, 0.5), ties=((0, 78, -172),), tail="pony",
        tail_mm=(180, 320), clump=0.5,
    ),
    "pigtails": Style(
        (200, 200), "tie", lift=0.1, hover_mm=(1.5, 4), hug=0.9, curl=(0, 0.5), ties=((84, 12, -118), (-84, 12, -118)),
        tail="pony", tail_mm=(120, 220), clump=0.5,
    ),
    "bun": Style(
        (260, 260), "tie", lift=0.1, hover_mm=(1.5, 4), hug=0.9, curl=(0, 0.5), ties=((0, 42, -176),), tail="bun",
        clump=0.5,
    ),
    "top_knot": Style(
        (260, 260), "tie", lift=0.15, hover_mm=(1.5, 4), hug=0.9, curl=(0, 0.5), ties=((0, 124, -92),), tail="bun",
        clump=0.5,
    ),
    "braids": Style(
        (240, 240), "tie", lift=0.1, hover_mm=(1.5, 4), hug=0.9, curl=(0, 0.4),
        ties=((66, -42, -110), (-66, -42, -110)), tail="plait", tail_mm=(180, 280), clump=0.5,
    ),
    "box_braids": Style(
        (330, 330), "part", lift=0.4, fall_mm=32, hover_mm=(4, 15), part_mm=12, ends_mm=(-270, -140), ragged=0.1,
        curl=(0.8, 1), rope="braid", locks=130,
    ),
    "twists": Style(
        (70, 130), "part", sides=0.75, lift=0.7, fall_mm=50, hover_mm=(4, 16), ragged=0.2, curl=(0.8, 1), rope="twist",
        locks=150,
    ),
    "locs": Style(
        (300, 300), "part", lift=0.5, fall_mm=38, hover_mm=(5, 17), ends_mm=(-240, -90), ragged=0.15, curl=(0.8, 1),
        rope="loc", locks=105,
    ),
    "cornrows": Style((90, 90), "rows", hover_mm=(1, 1), ragged=0.1, curl=(0.8, 1), rope="braid"),
    "afro": Style(
        (25, 70), "out", sides=0.9, lift=2.0, fall_mm=900, hover_mm=(2, 2), curl=(0.88, 1), ragged=0.3, clump=0.6
    ),
}  # fmt: skip
"""Every haircut; judged on contact sheets."""
