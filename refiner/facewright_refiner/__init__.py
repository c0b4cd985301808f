"""Facewright's refiner: what makes a render look like a photograph without moving a label.

Importing this package pulls neither torch nor kornia; its modules do.
"""
