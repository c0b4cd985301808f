"""Facewright: people who do not exist, for people who train vision models.

Importing this package pulls neither bpy nor torch.
"""

from facewright.errors import FacewrightError, UserError
from facewright.recipe import Recipe
from facewright.sample import Sample, sample

__all__ = ["FacewrightError", "Recipe", "Sample", "UserError", "__version__", "sample"]
__version__ = "0.1.0"
