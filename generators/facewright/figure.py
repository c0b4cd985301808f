"""A Figure: one Sample's posed geometry in world axes (Blender's, but millimetres), pure numpy.

bpy uploads it, labels are computed from it. Nothing else decides where anything is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from facewright import roots
from facewright.errors import UserError
from facewright.eye import adnexa, anatomy, folds, lids
from facewright.eye.anatomy import Globe
from facewright.face import glasses, wear
from facewright.face.basis import Neutral, head_basis
from facewright.face.beard import shadow_weight
from facewright.face.cloth import worn_cloth
from facewright.face.contour import jaw_lines, visible_jaw
from facewright.face.dentition import dentition
from facewright.face.expression import arkit_weights, lid_closure
from facewright.face.landmarks import dense478, ibug68, wflw98
from facewright.face.skin import beard_colour, brow_colour, hair_colour, paint
from facewright.face.topology import LEVEL, Masks, Topology, masks, neck_share, topology
from facewright.geometry.camera import WORLD_FROM_HEAD
from facewright.geometry.mesh import Mesh
from facewright.geometry.rotations import between, head_rotation
from facewright.geometry.strands import Strands
from facewright.sample import Sample, Subject
from facewright.schema import LIMBUS_POINTS, SIDES, Label
from facewright.truth import CameraTruth
from facewright.world.camera import FACE_CENTRE_MM, place
from facewright.world.leds import led_positions

Array = np.ndarray

NECK_PIVOT_MM = np.array([0.0, -62.0, -88.0])
"""Centre of head rotation, between the atlanto-occipital and the lower cervical joints; head axes."""
GAZE_LIMIT_DEG = (46.0, 34.0)
"""Largest horizontal and vertical eye-in-head rotation of a fixation; targets beyond are drawn in to it."""


@dataclass(frozen=True)
class PosedEye:
    """One eye in world mm: `rotation` (3, 3) eye -> world. Lid and lash lines (n, 3) run medial to lateral.

    `meshes` are in eye axes; `adnexa` (caruncle, tear meniscus) in head mm.
    """

    globe: Globe
    centre: Array
    rotation: Array
    meshes: list[Mesh]
    adnexa: list[Mesh]
    lid_upper: Array
    lid_lower: Array
    lash_upper: Array
    lash_lower: Array
    caruncle: Array
    clearance_mm: float
    openness: float


@dataclass(frozen=True)
class Figure:
    """Where everything is; `surfaces` and `strands` grow skin, cloth and hair on it.

    `head` (V, 3) is the subdivided head in head mm, before `turn` (3, 3) poses it; `basis_vertices` the same before
    subdivision. Everything else is in world mm; `leds` is (N, 3), `points` are landmark sets by name and `jaw` (33, 3)
    is the visible contour.
    """

    sample: Sample
    camera: CameraTruth
    turn: Array
    basis_vertices: Array
    head: Array
    eyes: dict[str, PosedEye]
    landmarks: Array
    points: dict[str, Array]
    jaw: Array
    face_points: Array
    head_rotation: Array
    head_origin: Array
    gaze_target: Array
    leds: Array
    glasses: glasses.Pair | None


@dataclass(frozen=True)
class Body:
    """What the frames of a subject share: resting basis vertices, seated globes, hair roots."""

    vertices: Array
    centres: dict[str, Array]
    globes: dict[str, Globe]


FOLDED_MM = 0.5
"""By how much the folds of the lids (eye/folds.py) draw the canthi together; median of 40 people."""
FISSURE_PASSES = 3
"""Guesses at how far canthi must move. As a canthus moves out it is drawn in more, so each goes half as far again."""


@lru_cache(maxsize=4)
def body(subject: Subject) -> Body:
    """Return the resting body of `subject`, its fissures so wide that they are as the sample says on the globes."""
    basis = head_basis()
    neutral = basis.neutral(subject.head)
    globes = {side: anatomy.globe(subject.eye, side) for side in SIDES}
    asked = width = subject.eye.fissure_mm + FOLDED_MM
    vertices, centres = _seated(neutral, globes, width)
    for _ in range(FISSURE_PASSES):
        smooth = topology().positions(vertices)
        found = [lids.fissure(smooth, basis, side, globes[side], centres[side]) for side in SIDES]
        width += 1.5 * (asked - sum(found) / len(found))
        vertices, centres = _seated(neutral, globes, width)
    middle = 0.5 * (centres["right"] + centres["left"])
    return Body(vertices - middle, {side: centre - middle for side, centre in centres.items()}, globes)


def _seated(neutral: Neutral, globes: dict[str, Globe], width: float) -> tuple[Array, dict[str, Array]]:
    """Return vertices (V, 3) with fissures `width` mm wide before lids lie on globes, and the globes' centres."""
    vertices = lids.widen(neutral, head_basis(), width)
    return vertices, {
        side: lids.seat(vertices, head_basis(), side, globes[side], neutral.eyes[k]) for k, side in enumerate(SIDES)
    }


def near_side(sample: Sample) -> str | None:
    """Return the side of the eye that an eye scene looks at, None for faces."""
    if sample.scene != "eye":
        return None
    return sample.camera.target.removesuffix("_eye") if sample.camera.target.endswith("_eye") else "left"


def build_figure(sample: Sample) -> Figure:
    """Return the Figure of `sample`; a pure function."""
    resting = body(sample.subject)
    near = near_side(sample)
    mesh, shade = topology(near), masks(near)
    pose = sample.pose
    turn = head_rotation(*(math.radians(a) for a in (pose.head_yaw_deg, pose.head_pitch_deg, pose.head_roll_deg)))
    camera = _camera(sample, turn)
    target = _gaze_target(sample, camera, turn)
    rotations = eye_rotations(resting, target)
    coarse, head = head_surface(sample, resting, rotations)

    eyes = {side: _eye(sample, resting, mesh, near, head, side, rotations[side], turn) for side in SIDES}
    face = mesh.vertices_of("skin", "nose", "upper_lip", "lower_lip")
    face = face[mesh.rest[face, 2] > -75]
    seen = np.concatenate([ibug68(), face[::7]])

    def posed(ids: Array) -> Array:
        return _bent(head[ids], turn, shade.head[ids])

    points, pinhole = posed(seen), -camera.rotation.T @ camera.translation_mm
    axes, middle = WORLD_FROM_HEAD @ turn, _turned(np.zeros((1, 3)), turn)[0]
    aimed = eyes.get(sample.camera.target.removesuffix("_eye"))
    return Figure(
        sample,
        camera,
        turn,
        coarse,
        head,
        eyes,
        points[:68],
        _landmark_sets(points[:68], posed(wflw98()), posed(dense478().vertices), eyes),
        visible_jaw(posed(jaw_lines().vertices), pinhole),
        points[68:],
        axes,
        middle,
        _turned(target[None], turn)[0],
        led_positions(sample.light, camera, aimed.centre if aimed else middle, axes),
        _glasses(sample, resting, head, turn, camera),
    )


IRIS_POINTS = (0, 8, 16, 24)
"""Points of the limbus ring that the dense set takes: toward +x, +y, -x and -y of the eye."""


def _landmark_sets(landmarks: Array, wflw: Array, dense: Array, eyes: dict[str, PosedEye]) -> dict[str, Array]:
    """Return the sets of schema.LANDMARK_SETS in world mm: points of the posed head with those of the eyes."""
    pupils, irises = [], []
    for eye in (eyes[side] for side in SIDES):
        own = np.concatenate([eye.globe.pupil_centre[None], eye.globe.limbus(LIMBUS_POINTS)[list(IRIS_POINTS)]])
        irises.append(own @ eye.rotation.T + eye.centre)
        pupils.append(irises[-1][:1])
    return {
        "face70": np.concatenate([landmarks, *pupils]),
        "wflw98": np.concatenate([wflw, *pupils]),
        "dense478": np.concatenate([dense, *irises]),
    }


def surfaces(figure: Figure) -> list[Mesh]:
    """Return skin, mouth, conjunctiva, caruncles, menisci, clothes and the frame of glasses in world mm.

    The eyes' own meshes are in `eyes`, those of lenses in `glasses.lenses`.
    """
    sample, near = figure.sample, near_side(figure.sample)
    mesh, shade = topology(near), masks(near)
    parts = _head_meshes(sample, mesh, shade, figure.head)
    parts += dentition(figure.basis_vertices, sample.subject.mouth, (sample.seed, sample.subject_index))
    parts += [part for eye in figure.eyes.values() for part in eye.adnexa]
    parts += worn_cloth(sample.subject.wear, figure.basis_vertices)
    parts += wear.worn(sample.subject.wear, _worn_on(figure.head), (sample.seed, sample.subject_index))
    worn = figure.glasses.frame if figure.glasses else []
    return [*(_posed(part, figure.turn) for part in parts), *worn]


def strands(figure: Figure) -> list[Strands]:
    """Return lashes, brows and head hair in world mm."""
    near = near_side(figure.sample)
    found = [hairs for side in SIDES for hairs in _lashes(figure, side)]
    hat, on = figure.sample.subject.wear.hat, _worn_on(figure.head)
    for hairs in roots.hairs(figure.sample, near, figure.head):
        if hairs.channel != "hair":
            found.append(hairs)
        elif hat.kind != "headscarf":  # which hides it all
            found.append(hairs.moved(wear.tuck(hairs.points, hat, on)))

    def posed(hairs: Strands) -> Strands:
        points = hairs.points.reshape(-1, 3)
        share = neck_share(points / on.size) if hairs.channel in ("hair", "beard") else np.ones(len(points))
        return hairs.moved(_bent(points, figure.turn, share).reshape(hairs.points.shape))

    return [posed(hairs) for hairs in found]


def moving(figure: Figure) -> tuple[dict[str, Array], list[Strands]]:
    """Return what gaze and lids move: vertices (V, 3) of `surfaces` by name, and lashes; world mm.

    The eyes' own meshes move by their `rotation`.
    """
    near = near_side(figure.sample)
    head = _bent(figure.head, figure.turn, masks(near).head)
    found = {name: head[ids] for name, ids in _cut_vertices(near).items()}
    for eye in figure.eyes.values():
        found |= {part.name: _posed(part, figure.turn).vertices for part in eye.adnexa}
    lashes = [hairs for side in SIDES for hairs in _lashes(figure, side)]
    return found, [
        hairs.moved(_turned(hairs.points.reshape(-1, 3), figure.turn).reshape(hairs.points.shape)) for hairs in lashes
    ]


def gaze_angles(figure: Figure, target: Array) -> tuple[float, float, float]:
    """Return yaw and pitch in degrees and distance in mm, counted from the head, of `target` (3,) in world mm."""
    x, y, z = ((target @ WORLD_FROM_HEAD) - NECK_PIVOT_MM) @ figure.turn + NECK_PIVOT_MM
    distance = math.hypot(x, y, z)
    return math.degrees(math.atan2(-x, z)), math.degrees(math.asin(y / distance)), distance


def _worn_on(head: Array) -> wear.Skin:
    """Return the skin that things are worn on; its ids hold on every mesh, `head` (V, 3) mm has their places."""
    mesh = topology()
    ears = {side: mesh.vertices_of(f"{side}_ear") for side in SIDES}
    face = mesh.vertices_of("skin", "nose", "upper_lip", "lower_lip")
    return wear.Skin(head, face, mesh.vertices_of("neck", "torso"), ears)


def eye_rotations(resting: Body, target: Array) -> dict[str, Array]:
    """Return the rotation (3, 3) eye -> head of each eye that fixates `target` (3,) head mm."""
    return {
        side: anatomy.eye_rotation(target - resting.centres[side], resting.globes[side].visual_axis) for side in SIDES
    }


LID_PASSES = 6
"""How often lids are evened and fitted; after the sixth, shut lids leave no slit and cross by 0.2 mm (12 faces)."""


def head_surface(sample: Sample, resting: Body, rotations: dict[str, Array]) -> tuple[Array, Array]:
    """Return basis vertices with expression, and the subdivided head with its lids on the globes; head mm."""
    near = near_side(sample)
    coarse, gaps = _expressed(sample, resting, rotations)
    closure = lid_closure(sample.expression)
    head = topology(near).positions(coarse)
    for side in SIDES:
        globe, centre = resting.globes[side], resting.centres[side]
        head = lids.fit(head, _lid_map(near, side), globe, centre, rotations[side])
        for _ in range(LID_PASSES):  # each sliding onto the globe moves the edges a little apart again
            head = lids.even(head, _lid_map(near, side), gaps[side], closure[side])
            head = lids.fit(head, _lid_map(near, side), globe, centre, rotations[side])
        inner, lash = (_ring(head, near, side, row) for row in (lids.INNER_EDGE, lids.LASH_LINE))
        chart, skin = _lid_chart(near, side), sample.subject.eye.lids
        head = folds.fold(head, chart, lash, inner, skin, globe, centre, rotations[side])
        head = lids.line_socket(head, _sac(near, side), globe, centre, rotations[side])
        head = lids.push_out(head, globe, centre, rotations[side])
    return coarse, head


def _turned(points: Array, turn: Array) -> Array:
    """Return head mm (N, 3) as world mm, all following the head."""
    return ((points - NECK_PIVOT_MM) @ turn.T + NECK_PIVOT_MM) @ WORLD_FROM_HEAD.T


def _bent(points: Array, turn: Array, follow: Array) -> Array:
    """Return head mm (N, 3) as world mm: the head turns, the torso stays, the neck bends between by `follow` (N,)."""
    share = follow[:, None].astype(points.dtype)
    pivot, turn, out = (values.astype(points.dtype) for values in (NECK_PIVOT_MM, turn, WORLD_FROM_HEAD))
    turned = (points - pivot) @ turn.T + pivot
    return (share * turned + (1 - share) * points) @ out.T


def _posed(part: Mesh, turn: Array) -> Mesh:
    if "head" in part.points:
        return part.moved(_bent(part.vertices, turn, part.points["head"]))
    return part.moved(_turned(part.vertices, turn))


def aimed_at(sample: Sample, turn: Array) -> Array:
    """Return the point (3,) in world mm that the camera is aimed at; `turn` (3, 3) poses the head."""
    aim = sample.camera.target
    head_point = FACE_CENTRE_MM if aim == "face" else body(sample.subject).centres[aim.removesuffix("_eye")]
    return _turned(head_point[None], turn)[0]


def _camera(sample: Sample, turn: Array) -> CameraTruth:
    return place(sample.camera, sample.image, aimed_at(sample, turn), WORLD_FROM_HEAD @ turn, WORLD_FROM_HEAD)


def _gaze_target(sample: Sample, camera: CameraTruth, turn: Array) -> Array:
    """Return the fixated point (3,) in head mm, drawn in to what eyes can reach."""
    gaze = sample.gaze
    forward = np.array([0.0, 0.0, 1.0])
    if gaze.reference == "camera":
        position = -camera.rotation.T @ camera.translation_mm
        in_head = ((position @ WORLD_FROM_HEAD) - NECK_PIVOT_MM) @ turn + NECK_PIVOT_MM
        frame = between(forward, in_head)
    else:
        frame = np.eye(3)
    x, y, z = frame @ head_rotation(math.radians(gaze.yaw_deg), math.radians(gaze.pitch_deg), 0.0) @ forward
    yaw, pitch = math.degrees(math.atan2(-x, z)), math.degrees(math.asin(y))
    excess = math.hypot(yaw / GAZE_LIMIT_DEG[0], pitch / GAZE_LIMIT_DEG[1])
    scale = 1 / max(1.0, excess)
    return gaze.distance_mm * (head_rotation(math.radians(yaw * scale), math.radians(pitch * scale), 0.0) @ forward)


def _expressed(sample: Sample, resting: Body, rotations: dict[str, Array]) -> tuple[Array, dict[str, Array]]:
    """Return basis vertices with expression, gaze-coupled lids and blink, and each side's openings without blink."""
    basis = head_basis()
    units = arkit_weights(sample.expression)
    for side in SIDES:
        units |= lids.lid_units(side, rotations[side], sample.subject.eye.aperture)
    vertices = resting.vertices + basis.express(units)
    gaps = {}
    for side, shut in lid_closure(sample.expression).items():
        closing = basis.express({f"eyeBlink{side.capitalize()}": 1.0})
        gaps[side] = lids.openings(vertices[basis.rings[side][lids.INNER_EDGE]])
        vertices += lids.blink_weight(vertices, closing, basis, side, shut) * closing
    return vertices, gaps


CAMERA_CLEAR_MM, CAMERA_NEAR_MM = 10.0, 60.0
"""Least distance of the pinhole before the glasses, for cameras as near to a lens as the second: those of headsets."""


def _glasses(sample: Sample, resting: Body, head: Array, turn: Array, camera: CameraTruth) -> glasses.Pair | None:
    """Return the glasses in world mm, None if none are worn; UserError where the camera is within them."""
    spec = sample.subject.wear.glasses
    if spec.kind == "none":
        return None
    names, mesh = head_basis().part_names, topology()  # its vertices are the first of every finer mesh
    front = mesh.rest[mesh.faces[:, 0], 2] > -100
    skin = np.isin(mesh.part, [names.index(part) for part in ("skin", "nose", "right_margin", "left_margin")]) & front
    corneas = np.array([resting.centres[side] + [0, 0, resting.globes[side].apex_z] for side in SIDES])
    roots = [np.intersect1d(mesh.vertices_of(f"{side}_ear"), mesh.vertices_of("skin")) for side in SIDES]
    ears = np.array([head[root[np.argmax(head[root, 1])]] for root in roots])
    pair = glasses.fit(spec, head[mesh.faces[skin]], corneas, ears)
    pair = pair.moved(WORLD_FROM_HEAD @ turn, lambda points: _turned(points, turn))
    pinhole = -camera.rotation.T @ camera.translation_mm
    offsets = [(pinhole - lens.origin) @ lens.rotation for lens in pair.lenses.values()]
    if any(offset[2] < CAMERA_CLEAR_MM and np.linalg.norm(offset) < CAMERA_NEAR_MM for offset in offsets):
        raise UserError(
            f"frame {sample.index}: the camera stands within {CAMERA_CLEAR_MM:g} mm of the glasses or behind them; set "
            "subject.wear.glasses.kind to none, or camera.distance_mm higher"
        )
    return pair


@lru_cache(maxsize=8)
def _lid_map(near: str | None, side: str) -> lids.LidMap:
    return lids.lid_map(head_basis(), side, topology(near).steps)


@lru_cache(maxsize=8)
def _sac(near: str | None, side: str) -> Array:
    """Return the vertices of the conjunctival sac behind the lid margins."""
    mesh = topology(near)
    return np.setdiff1d(mesh.vertices_of(f"{side}_socket"), mesh.vertices_of("skin", f"{side}_margin"))


@lru_cache(maxsize=8)
def _lid_chart(near: str | None, side: str) -> folds.LidChart:
    return folds.lid_chart(head_basis(), side, topology(near).steps, topology(near).rest)


_SKIN_LABELS = {
    "skin": Label.SKIN,
    "nose": Label.NOSE,
    "neck": Label.NECK,
    "torso": Label.NECK,
    "right_ear": Label.RIGHT_EAR,
    "left_ear": Label.LEFT_EAR,
    "upper_lip": Label.UPPER_LIP,
    "lower_lip": Label.LOWER_LIP,
    "right_margin": Label.RIGHT_LID_MARGIN,
    "left_margin": Label.LEFT_LID_MARGIN,
    "nostril": Label.NOSTRIL,
}
_OTHER_PARTS = {
    "mouth": ("mouth", {"mouth": Label.MOUTH}),
    "tongue": ("tongue", {"tongue": Label.TONGUE}),
    "right_conjunctiva": ("conjunctiva", {"right_socket": Label.RIGHT_SCLERA}),
    "left_conjunctiva": ("conjunctiva", {"left_socket": Label.LEFT_SCLERA}),
}


def _head_meshes(sample: Sample, mesh: Topology, shade: Masks, head: Array) -> list[Mesh]:
    """Return skin, mouth, tongue and conjunctival sockets in head mm."""
    under = roots.under_hair(sample, near_side(sample))
    points = {
        "rest": mesh.rest,
        "head": shade.head,
        "region": np.stack([shade.lip, shade.margin, shade.sebum], axis=1),
        "albedo": _shaded_albedo(sample, mesh, under),
        "under_hair": under,
        "lid": _lid_place(near_side(sample), len(mesh.rest)),
    }
    parts = [_cut("skin", "skin", mesh, head, _SKIN_LABELS, points)]
    rigid = {"rest": mesh.rest, "head": shade.head}
    parts += [_cut(name, material, mesh, head, table, rigid) for name, (material, table) in _OTHER_PARTS.items()]
    return parts


@lru_cache(maxsize=4)
def _lid_place(near: str | None, count: int) -> Array:
    """Return lid coordinates (count, 3): cosine and sine of the way round the fissure, depth in mm (100: elsewhere)."""
    place = np.tile([1.0, 0.0, 100.0], (count, 1))
    for side in SIDES:
        chart = _lid_chart(near, side)
        angle = 2 * math.pi * chart.turn
        place[chart.ids] = np.stack([np.cos(angle), np.sin(angle), chart.depth], axis=1)
    return place


def _shaded_albedo(sample: Sample, mesh: Topology, share: Array) -> Array:
    """Return the skin's albedo (V, 3), coloured by the `share` (V, 3) of hair, brows and beard, see roots.py."""
    subject, spectrum = sample.subject, sample.image.spectrum
    skin = paint(subject.skin, near_side(sample), spectrum)
    hair = subject.hair
    shaved = hair.beard_shadow * (SHAVED_SHARE if hair.beard == "none" else 0.5 * SHAVED_SHARE)
    if shaved:
        under = (shaved * shadow_weight(mesh.rest))[:, None]
        skin = skin + under * (0.35 * skin.mean(axis=1, keepdims=True) * SHAVED_TINT - skin)
    colours = 0.8 * np.array([colour(hair, spectrum) for colour in (hair_colour, brow_colour, beard_colour)])
    return skin * (1 - share.sum(axis=1, keepdims=True)) + share @ colours


SHAVED_SHARE, SHAVED_TINT = 0.55, np.array([0.94, 1.0, 1.08])
"""Greatest share of shaved roots in the skin's albedo, and their tint: dark hair under light skin looks blue-grey, as
red light goes round it and blue does not; reasoned."""


def _cut(
    name: str, material: str, mesh: Topology, vertices: Array, table: dict[str, Label], points: dict[str, Array]
) -> Mesh:
    """Return the faces of the parts in `table` as a mesh of its own."""
    names = head_basis().part_names
    lookup = np.zeros(len(names), np.uint8)
    for part, label in table.items():
        lookup[names.index(part)] = int(label)
    keep = _faces_of(mesh, table)
    used, faces = np.unique(mesh.faces[keep], return_inverse=True)
    return Mesh(
        name,
        vertices[used],
        faces.reshape(-1, 4),
        lookup[mesh.part[keep]],
        material,
        {key: value[used] for key, value in points.items()},
    )


def _faces_of(mesh: Topology, table: dict[str, Label]) -> Array:
    """Return which faces (F,) bool belong to the parts in `table`."""
    names = head_basis().part_names
    return np.isin(mesh.part, [names.index(part) for part in table])


@lru_cache(maxsize=4)
def _cut_vertices(near: str | None) -> dict[str, Array]:
    """Return the vertices on `topology(near)` of each mesh that is cut out of the head."""
    mesh = topology(near)
    tables = {"skin": _SKIN_LABELS} | {name: table for name, (_, table) in _OTHER_PARTS.items()}
    return {name: np.unique(mesh.faces[_faces_of(mesh, table)]) for name, table in tables.items()}


def _eye(
    sample: Sample,
    resting: Body,
    mesh: Topology,
    near: str | None,
    head: Array,
    side: str,
    rotation: Array,
    turn: Array,
) -> PosedEye:
    """Return the posed eye with its adnexa."""
    eye, globe, centre = sample.subject.eye, resting.globes[side], resting.centres[side]
    (upper, lower), (upper_out, lower_out) = (
        _lid_lines(head, near, side, row) for row in (lids.INNER_EDGE, lids.LASH_LINE)
    )
    corner = adnexa.caruncle(head[head_basis().rings[side][lids.INNER_EDGE]], globe, centre)
    film = adnexa.meniscus(lower, lower_out, globe, centre, rotation, 0.4 * eye.wetness)
    close = head[np.square(head - centre).sum(axis=1) < 20.0**2]
    gap = float(lids.clearance(close, globe, centre, rotation).min())
    middle = slice(len(upper) // 3, 2 * len(upper) // 3)
    aperture = float(np.max(lids.height(upper[middle], lower), initial=0.0))
    return PosedEye(
        globe,
        _turned(centre[None], turn)[0],
        WORLD_FROM_HEAD @ turn @ rotation,
        anatomy.meshes(globe),
        [corner, film],
        _turned(upper, turn),
        _turned(lower, turn),
        _turned(upper_out, turn),
        _turned(lower_out, turn),
        _turned(_caruncle_points(corner), turn),
        gap,
        aperture / eye.limbus_mm,
    )


def _lid_lines(head: Array, near: str | None, side: str, row: int) -> tuple[Array, Array]:
    """Return a lid ring's upper and lower line (n, 3) in head mm, medial to lateral."""
    loop = _ring(head, near, side, row)
    return adnexa.lid_line(loop, "upper"), adnexa.lid_line(loop, "lower")


def _ring(head: Array, near: str | None, side: str, row: int) -> Array:
    """Return a lid ring (n, 3) in head mm, from the medial canthus over the upper lid round."""
    steps = topology(near).steps
    return _loop(head_basis().rings[side][row], steps if near == side else steps[:LEVEL], head)


def _lashes(figure: Figure, side: str) -> list[Strands]:
    """Return the upper and lower lashes of one eye in head mm."""
    sample, near = figure.sample, near_side(figure.sample)
    eye, seed = sample.subject.eye, (sample.seed, sample.subject_index)
    female, mascara = 1 - sample.subject.head.gender, sample.subject.make_up.mascara
    thick = (1 + 0.9 * mascara) * (0.9 + 0.25 * female)
    shape = {"curl": eye.lash_curl * (0.75 + 0.35 * female), "clump": 0.35 + 0.5 * mascara, "seed": seed}
    inner, outer = (_lid_lines(figure.head, near, side, row) for row in (lids.INNER_EDGE, lids.LASH_LINE))
    return [
        adnexa.lashes(outer[0], inner[0], side, True, eye.lash_count, eye.lash_length_mm, thickness=thick, **shape),
        adnexa.lashes(
            outer[1],
            inner[1],
            side,
            False,
            eye.lash_count // 2,
            0.5 * eye.lash_length_mm,
            thickness=0.75 * thick,
            **shape,
        ),
    ]


def _caruncle_points(corner: Mesh) -> Array:
    """Return 7 points round the front outline of the caruncle, from above over the canthus to below."""
    outline = corner.vertices.reshape(17, 24, 3)
    return np.concatenate([outline[[6, 9, 12], 0], outline[15:16, 0], outline[[12, 9, 6], 12]])


def _loop(ring: Array, steps: list, vertices: Array) -> Array:
    """Return the vertices of a closed basis ring after subdivision, with the edge points between."""
    for step in steps:
        following = np.roll(ring, -1)
        low, high = np.minimum(ring, following), np.maximum(ring, following)
        keys = step.edges[:, 0] * step.count + step.edges[:, 1]
        between_ids = step.count + np.searchsorted(keys, low * step.count + high)
        ring = np.stack([ring, between_ids], axis=1).ravel()
    return vertices[ring]
