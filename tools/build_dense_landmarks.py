"""Choose the dense landmarks and write them to data/dense478.json; pure function of the packed head.

python tools/build_dense_landmarks.py

Farthest-point sampling on the left half of hm08's template, mirrored: lids and lips are sampled DETAIL times as finely
as cheeks and forehead. Triangles are the dual of the points' Voronoi cells along the subdivided mesh, so that they
close neither the eyes nor the mouth. Needs scipy.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import dijkstra

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "generators"))

from facewright.eye.lids import INNER_EDGE, LASH_LINE  # noqa: E402
from facewright.face.basis import head_basis  # noqa: E402
from facewright.face.hair import BROW_LINE  # noqa: E402
from facewright.face.landmarks import mirror  # noqa: E402
from facewright.face.topology import below_jaw, in_nose, topology  # noqa: E402

Array = np.ndarray
OUTPUT = ROOT / "generators/facewright/data/dense478.json"
COUNT = 468
"""Points on the head; five on each iris make 478, as many as MediaPipe's face mesh has (its own points are others)."""
PARTS = ("skin", "nose", "upper_lip", "lower_lip", "right_margin", "left_margin")
BACK_MM, TOP_MM = -62.0, 66.0
"""The face ends before the ears and at the hairline: z and y on the template."""
DETAIL = 2.2
GROUPS = (
    "forehead",
    "right_brow",
    "left_brow",
    "right_lids",
    "left_lids",
    "nose",
    "upper_lip",
    "lower_lip",
    "right_cheek",
    "left_cheek",
    "chin",
)
IRIS = 5


def table() -> dict[str, Any]:
    """Return vertices, triangles, mirror and groups as plain data."""
    basis = head_basis()
    rest = basis.template - basis.origin
    domain = face_vertices()
    other = mirror(rest)
    chosen = spread(rest, domain, other)
    kind = np.array([GROUPS.index(group_of(rest[v], v)) for v in chosen])
    order = np.lexsort((np.round(rest[chosen, 0], 3), -np.round(rest[chosen, 1], 3), kind))
    vertices, kind = chosen[order], kind[order]
    place = {int(v): k for k, v in enumerate(vertices)}
    flipped = [place[int(other[v])] for v in vertices]
    start = {side: COUNT + IRIS * k for k, side in enumerate(("right", "left"))}
    swap = [0, 3, 2, 1, 4]  # centre; then the limbus at +x, +y, -x, -y of the eye
    flipped += [start["left"] + k for k in (0, 3, 2, 1, 4)] + [start["right"] + k for k in swap]
    groups = {name: [int(np.sum(kind < k)), int(np.sum(kind <= k))] for k, name in enumerate(GROUPS)}
    groups |= {f"{side}_iris": [first, first + IRIS] for side, first in start.items()}
    fans = [[first, first + 1 + k, first + 1 + (k + 1) % 4] for first in start.values() for k in range(4)]
    return {
        "vertices": vertices.tolist(),
        "triangles": [*triangles(vertices), *fans],
        "mirror": flipped,
        "groups": groups,
    }


def face_vertices() -> Array:
    """Return the basis vertices of the face's outer skin, lids and lips."""
    basis = head_basis()
    rest = basis.template - basis.origin
    wanted = np.isin(basis.part, [basis.part_names.index(part) for part in PARTS])
    ids = np.unique(basis.faces[wanted])
    p = rest[ids]
    ears = np.unique(basis.faces[np.isin(basis.part, [basis.part_names.index(f"{s}_ear") for s in ("left", "right")])])
    keep = (p[:, 2] > BACK_MM) & (p[:, 1] < TOP_MM) & ~below_jaw(p) & ~np.isin(ids, ears)
    behind = [basis.rings[side][row] for side in ("left", "right") for row in range(INNER_EDGE)]
    hidden = topology().vertices_of("mouth", "nostril")
    return ids[keep & ~np.isin(ids, np.concatenate([*behind, hidden]))]


def spread(rest: Array, domain: Array, other: Array) -> Array:
    """Return COUNT vertices of `domain`, each with its mirror image; lids' rims first, then the farthest."""
    left = domain[rest[domain, 0] > -0.01]
    p = rest[left]
    pairs = np.where(np.abs(p[:, 0]) < 0.01, 1, 2)
    rims = [head_basis().rings["left"][row][::2] for row in (INNER_EDGE, LASH_LINE)]
    scale = np.where(fine(left, p), DETAIL, 1.0)
    distance = np.full(len(left), np.inf)
    chosen: list[int] = []
    first = [int(np.nonzero(left == v)[0][0]) for ring in rims for v in ring]
    total = 0
    while total < COUNT:
        score = np.round(distance * scale**2, 6)
        if first:
            k = first.pop(0)
        else:
            k = int(np.argmax(np.where(pairs <= COUNT - total, score, -1)))
        chosen.append(k)
        total += int(pairs[k])
        for place in (p[k], p[k] * [-1, 1, 1]):
            distance = np.minimum(distance, np.square(p - place).sum(axis=1))
    found = left[chosen]
    return np.unique(np.concatenate([found, other[found]]))


def fine(ids: Array, p: Array) -> Array:
    """Return which vertices are sampled finely: lips, lids and the nose's lower half."""
    lips = topology().vertices_of("upper_lip", "lower_lip")
    lids = np.hypot((np.abs(p[:, 0]) - 31) / 22, p[:, 1] / 13) < 1
    return np.isin(ids, lips) | (lids & (p[:, 2] > -20)) | (in_nose(p) & (p[:, 1] < -22))


def group_of(p: Array, vertex: int) -> str:
    """Return the group of a point: its part where it has one, else its place on the template."""
    side = "left" if p[0] > 0 else "right"
    for lip in ("upper_lip", "lower_lip"):
        if vertex in topology().vertices_of(lip):
            return lip
    if in_nose(p[None])[0]:
        return "nose"
    if np.hypot((abs(p[0]) - 31) / 22, p[1] / 13) < 1 and abs(p[0]) > 8:
        return f"{side}_lids"
    if abs(p[1] - np.interp(abs(p[0]), *BROW_LINE.T)) < 7 and 8 < abs(p[0]) < 56:
        return f"{side}_brow"
    if p[1] > np.interp(abs(p[0]), *BROW_LINE.T) - 7:
        return "forehead"
    if abs(p[0]) < 26 and p[1] < -66:
        return "chin"
    return f"{side}_cheek"


def triangles(vertices: Array) -> list[list[int]]:
    """Return triangles between points whose Voronoi cells along the fine mesh meet, wound as the mesh's faces."""
    mesh, basis = topology(), head_basis()
    codes = [basis.part_names.index(part) for part in (*PARTS, "nostril")]
    middle = mesh.rest[mesh.faces].mean(axis=1)
    near = (middle[:, 2] > BACK_MM - 6) & (middle[:, 1] < TOP_MM + 6)
    faces = mesh.faces[np.isin(mesh.part, codes) & near]
    ends = np.concatenate([faces[:, [k, (k + 1) % 4]] for k in range(4)] + [faces[:, [0, 2]], faces[:, [1, 3]]])
    length = np.linalg.norm(mesh.rest[ends[:, 0]] - mesh.rest[ends[:, 1]], axis=1)
    ends, index = np.unique(np.sort(ends, axis=1), axis=0, return_index=True)
    count = len(mesh.rest)
    graph = coo_matrix((length[index], (ends[:, 0], ends[:, 1])), (count, count)).tocsr()
    _, _, source = dijkstra(graph, directed=False, indices=vertices, min_only=True, return_predecessors=True)
    place = np.full(count, -1)
    place[vertices] = np.arange(len(vertices))
    cell = np.where(source >= 0, place[source], -1)
    found: dict[tuple[int, ...], list[int]] = {}
    for corner in cell[faces]:
        ring = [int(k) for n, k in enumerate(corner) if k != corner[n - 1]]
        if len(set(ring)) < 3 or min(ring) < 0:
            continue
        for triangle in [ring] if len(ring) == 3 else [[ring[0], ring[1], ring[2]], [ring[0], ring[2], ring[3]]]:
            if len(set(triangle)) == 3:
                found.setdefault(tuple(sorted(triangle)), triangle)
    return sorted(found.values())


def main() -> None:
    """Write the table."""
    data = table()
    lines = (f'  "{name}": {json.dumps(value, separators=(",", ":"))}' for name, value in data.items())
    OUTPUT.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    print(f"{OUTPUT.relative_to(ROOT)}: {COUNT} + {2 * IRIS} points, {len(data['triangles'])} triangles")


if __name__ == "__main__":
    main()
