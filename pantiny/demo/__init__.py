"""A synthetic scene with known truth, and the demonstration that fuses it."""

from .run import run_demo, write_scene
from .scene import SyntheticScene, make_scene

__all__ = ["SyntheticScene", "make_scene", "run_demo", "write_scene"]
