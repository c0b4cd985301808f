"""Rotations, cameras, refraction, ellipses and mesh arrays. numpy only; millimetres and radians."""
