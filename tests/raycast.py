"""Visible ids by ray casting with Embree and Snell's law: an oracle apart from Cycles and our projections."""

import numpy as np
import trimesh

from facewright.face.beard import BEARDS, beard_weight
from facewright.face.hair import brow_weight, scalp_weight
from facewright.face.haircuts import STYLES
from facewright.figure import surfaces
from facewright.schema import Label

assert trimesh.ray.has_embree, "without embreex trimesh falls back to a caster that needs 20 GB here"


def coloured(frame):
    """Return the share (H, W) of the skin that hair, brows and beard colour, by its place on the template.

    The frame must have the layer `canonical`. Labels come from the mesh instead: an attribute that Cycles renders.
    """
    hair, place = frame.sample.subject.hair, frame.canonical.reshape(-1, 3).astype(float)
    style = STYLES[hair.style]
    scalp = 0.8 * scalp_weight(place, style.receding) * min(1.0, style.density)
    if hair.style == "bald":
        scalp *= np.clip((40 - place[:, 1]) / 10, 0, 1)
    left = (1 - scalp) * (1 - 0.6 * hair.brow_density * brow_weight(place, hair.brow_width, hair.brow_arch))
    if hair.beard != "none":
        left *= 1 - 0.55 * BEARDS[hair.beard].density * beard_weight(hair, place)
    share = np.where(place.any(axis=1), 1 - left, 0.0)
    return share.reshape(frame.canonical.shape[:2])


def triangles_of(parts):
    """Return one trimesh of Mesh parts, the id of each triangle, and per-vertex normals where parts have them."""
    vertices, faces, ids, start = [], [], [], 0
    for part in parts:
        own = part.triangles()
        first = np.concatenate([np.arange(len(part.faces)), np.nonzero(part.faces[:, 2] != part.faces[:, 3])[0]])
        vertices.append(part.vertices)
        faces.append(own + start)
        ids.append(part.labels[first].astype(int))
        start += len(part.vertices)
    return trimesh.Trimesh(np.concatenate(vertices), np.concatenate(faces), process=False), np.concatenate(ids)


def cast(figure, solids=None):
    """Return ids (H, W) by ray casting with Snell's law at lens and cornea meshes; -1 after nine surfaces.

    `solids` replaces the opaque meshes of the figure; then its glasses are left away.
    """
    camera = figure.camera
    opaque = [part for part in solids or surfaces(figure) if part.material != "tear"]
    glass, ratio = figure.glasses.meshes() if figure.glasses and not solids else [], []
    for eye in figure.eyes.values():
        for part in eye.meshes:
            moved = part.moved(part.vertices @ eye.rotation.T + eye.centre)
            (glass if part.material.startswith("cornea") else opaque).append(moved)
    for part in glass:
        n = figure.sample.subject.wear.glasses.index
        value = {"lens": n, "lens_back": 1 / n, "cornea": 1.376, "cornea_back": 1.336 / 1.376}[part.material]
        ratio += [value] * len(part.triangles())
    solid, ids = triangles_of(opaque)
    clear, _ = triangles_of(glass)
    ratio = np.array(ratio)
    normals = np.concatenate(
        [part.points["normal"] if "normal" in part.points else vertex_normals_of(part) for part in glass]
    )
    y, x = np.mgrid[0 : camera.height, 0 : camera.width] + 0.5
    rays = np.stack([x.ravel(), y.ravel(), np.ones(x.size)], axis=1) @ np.linalg.inv(camera.K).T @ camera.rotation
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    start = np.tile(-camera.rotation.T @ camera.translation_mm, (len(rays), 1))
    label, alive = np.zeros(len(rays), int), np.ones(len(rays), bool)
    for _ in range(9):
        k = np.nonzero(alive)[0]
        hard, far = first(solid, start[k], rays[k])
        soft, near = first(clear, start[k], rays[k])
        ends = far <= near
        label[k[ends]] = np.where(hard[ends] >= 0, ids[hard[ends]], 0)
        alive[k[ends]] = False
        k, soft, near = k[~ends], soft[~ends], near[~ends]
        met = start[k] + near[:, None] * rays[k]
        corners = clear.triangles[soft]
        weights = trimesh.triangles.points_to_barycentric(corners, met)
        normal = np.einsum("nk,nkc->nc", weights, normals[clear.faces[soft]])
        normal /= np.linalg.norm(normal, axis=1, keepdims=True)
        cosine = -np.sum(normal * rays[k], axis=1)
        eta = np.where(cosine > 0, 1 / ratio[soft], ratio[soft])
        normal, cosine = np.where(cosine[:, None] > 0, normal, -normal), np.abs(cosine)
        inner = 1 - eta**2 * (1 - cosine**2)
        alive[k[inner < 0]] = False
        label[k[inner < 0]] = int(Label.GLASSES_LENS)  # total reflection at the back
        bent = eta[:, None] * rays[k] + (eta * cosine - np.sqrt(np.maximum(inner, 0)))[:, None] * normal
        start[k], rays[k] = met + 1e-4 * bent, bent
    label[alive] = -1
    return label.reshape(camera.height, camera.width)


def first(mesh, origins, directions):
    found = mesh.ray.intersects_first(origins, directions)
    depth = np.full(len(directions), np.inf)
    hit = found >= 0
    corner, normal = mesh.triangles[found[hit], 0], mesh.face_normals[found[hit]]
    depth[hit] = ((corner - origins[hit]) * normal).sum(1) / (directions[hit] * normal).sum(1)
    return found, depth


def vertex_normals_of(part):
    return trimesh.Trimesh(part.vertices, part.triangles(), process=False).vertex_normals


def edges(ids):
    """Return pixels within one pixel, also diagonally, of a change of id."""
    near = np.zeros(ids.shape, bool)
    padded = np.pad(ids, 1, mode="edge")
    height, width = ids.shape
    for dr in (0, 1, 2):
        for dc in (0, 1, 2):
            near |= padded[dr : dr + height, dc : dc + width] != ids
    return near
