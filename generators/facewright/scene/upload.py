"""From arrays to Blender data: meshes, strands, images. Millimetres become metres here and nowhere else."""

from __future__ import annotations

from typing import Any

import numpy as np

from facewright.geometry.mesh import Mesh
from facewright.geometry.strands import Strands

Array = np.ndarray
METRES = 0.001


def mesh_object(bpy: Any, part: Mesh, material: Any, collection: Any) -> Any:
    """Return a smooth-shaded mesh object with class ids in face attribute `seg` and its point attributes.

    Attribute `normal` sets the shading normals, where those of the faces round a vertex would not be exact enough.
    """
    data = bpy.data.meshes.new(part.name)
    triangle = part.faces[:, 2] == part.faces[:, 3]
    sizes = np.where(triangle, 3, 4)
    keep = np.ones(part.faces.shape, bool)
    keep[:, 3] = ~triangle
    corners = part.faces[keep]
    data.vertices.add(len(part.vertices))
    data.vertices.foreach_set("co", np.ascontiguousarray(part.vertices * METRES, np.float32).ravel())
    data.loops.add(len(corners))
    data.loops.foreach_set("vertex_index", corners.astype(np.int32))
    data.polygons.add(len(sizes))
    data.polygons.foreach_set("loop_start", (np.cumsum(sizes) - sizes).astype(np.int32))
    data.polygons.foreach_set("use_smooth", np.ones(len(sizes), bool))
    data.update(calc_edges=True)
    ids = data.attributes.new("seg", "INT", "FACE")
    ids.data.foreach_set("value", part.labels.astype(np.int32))
    for name, values in part.points.items():
        if values.ndim == 1:
            continue
        vector = np.zeros((len(values), 3), np.float32)
        vector[:, : values.shape[1]] = values
        attribute = data.attributes.new(name, "FLOAT_VECTOR", "POINT")
        attribute.data.foreach_set("vector", vector.ravel())
    if "normal" in part.points:
        data.normals_split_custom_set_from_vertices(part.points["normal"].tolist())
    data.materials.append(material)
    thing = bpy.data.objects.new(part.name, data)
    thing["part"] = part.name
    collection.objects.link(thing)
    return thing


def strand_object(bpy: Any, hairs: Strands, material: Any, collection: Any) -> Any:
    """Return a hair-curves object; `tint` is a per-curve attribute."""
    count, points = hairs.points.shape[:2]
    data = bpy.data.hair_curves.new(hairs.name)
    data.add_curves([points] * count)
    data.position_data.foreach_set("vector", np.ascontiguousarray(hairs.points * METRES, np.float32).ravel())
    radius = np.broadcast_to(hairs.radius, (count, points)) * METRES
    attribute = data.attributes.get("radius") or data.attributes.new("radius", "FLOAT", "POINT")
    attribute.data.foreach_set("value", np.ascontiguousarray(radius, np.float32).ravel())
    if len(hairs.tint):
        tint = data.attributes.new("tint", "FLOAT", "CURVE")
        tint.data.foreach_set("value", hairs.tint.astype(np.float32))
    data.materials.append(material)
    thing = bpy.data.objects.new(hairs.name, data)
    thing["part"], thing["label"] = hairs.name, int(hairs.label)
    collection.objects.link(thing)
    return thing


def float_image(bpy: Any, name: str, pixels: Array) -> Any:
    """Return a linear float image of `pixels` (R, C, 3) or (R, C), row 0 at v = 0."""
    rows, columns = pixels.shape[:2]
    image = bpy.data.images.new(name, columns, rows, float_buffer=True, is_data=True)
    fill(image, pixels)
    return image


def fill(image: Any, pixels: Array) -> None:
    """Let float `image` show `pixels` (R, C, 3) or (R, C), whatever its size was."""
    rows, columns = pixels.shape[:2]
    if tuple(image.size) != (columns, rows):
        image.scale(columns, rows)
    rgba = np.ones((rows, columns, 4), np.float32)
    rgba[..., :3] = pixels[..., None] if pixels.ndim == 2 else pixels
    image.pixels.foreach_set(rgba.ravel())
    image.update()
