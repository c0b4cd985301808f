"""The only rooms that know bpy: a Figure becomes a Blender scene, Cycles images it, passes become a Frame."""

from facewright.scene.session import CyclesRenderer

__all__ = ["CyclesRenderer"]
