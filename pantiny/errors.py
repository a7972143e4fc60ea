"""The exception tree: one class per failure, each also the matching builtin.

Every message reads "where: what arrived; what is needed; how to fix it".
"""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

_HERE = f"{Path(__file__).parent}{os.sep}"


class PanTinyError(Exception):
    """Base of every error this package raises on purpose."""


class ShapeError(PanTinyError, ValueError):
    """An array has the wrong number of dimensions or the wrong size."""


class DtypeError(PanTinyError, TypeError):
    """An array has an element type that cannot be fused."""


class DataError(PanTinyError, ValueError):
    """Pixel values cannot be used: NaN, infinity, nothing valid."""


class OptionError(PanTinyError, ValueError):
    """An option has a value that cannot be honoured."""


class SwappedInputsError(ShapeError):
    """MS and PAN arrived in each other's place."""


class BackendError(PanTinyError, RuntimeError):
    """An explicitly chosen backend cannot be used; the text lists what can."""


class MemoryBudgetError(PanTinyError, MemoryError):
    """The memory budget is too small for any tile."""


class CoreError(PanTinyError, RuntimeError):
    """The compiled core refused a call: a fault in pantiny, please report it."""


class ModelFileError(PanTinyError, ValueError):
    """Base of everything that can be wrong with a model file."""


class ModelMissingError(ModelFileError, FileNotFoundError):
    """There is no such model file or packaged model."""


class ModelTruncatedError(ModelFileError):
    """The file ends before its header says it does."""


class ModelHeaderError(ModelFileError):
    """The safetensors header is oversized, unparsable or lacks a field."""


class ModelVersionError(ModelFileError):
    """The file's format version is unknown to this package."""


class ModelShapeError(ModelFileError):
    """A tensor is missing, superfluous, or has the wrong shape or dtype."""


class ModelValueError(ModelFileError):
    """A tensor holds NaN or infinity."""


class ModelHashError(ModelFileError):
    """The tensors do not match the SHA-256 in the header."""


class GridError(PanTinyError, ValueError):
    """Base of everything that can be wrong with a pair of pixel grids."""


class CrsError(GridError):
    """MS and PAN are in different coordinate reference systems."""


class GeotransformError(GridError):
    """A geotransform is missing, rotated against the other, or flipped."""


class RatioError(GridError, ShapeError):
    """The ratio of MS to PAN pixel size is not a whole number from 2 to 8."""


class OverlapError(GridError):
    """MS and PAN do not overlap."""


class ExtentError(GridError):
    """The extents differ and ``extent="error"`` was asked for."""


class SceneFileError(PanTinyError, OSError):
    """Base of everything that can go wrong with a raster file."""


class SceneMissingError(SceneFileError, FileNotFoundError):
    """An input raster does not exist."""


class SceneReadError(SceneFileError):
    """An input raster cannot be opened or is damaged."""


class SceneWriteError(SceneFileError):
    """The output cannot be written."""


class OutputExistsError(SceneFileError, FileExistsError):
    """The output exists and overwriting was not asked for."""


class ManifestError(PanTinyError, ValueError):
    """A manifest or a folder of products cannot be understood."""


class DependencyError(PanTinyError, ImportError):
    """An optional dependency is not installed; the text names the extra."""


class PanTinyWarning(UserWarning):
    """Base of every warning this package gives."""


class BitDepthWarning(PanTinyWarning):
    """The bit depth was inferred from the data because nobody stated it."""


class GainWarning(PanTinyWarning):
    """Nothing says which bands of a sensor an image has; the mean of its MTF gains was taken."""


class UnitWarning(PanTinyWarning):
    """PAN and MS seem to be in different units, which an index cannot see."""


def warn(text: str, kind: type[PanTinyWarning]) -> None:
    """Warn at the line outside this package that led here."""
    level = 2
    while level < 50:
        try:
            frame = sys._getframe(level - 1)
        except ValueError:  # no caller is outside
            break
        if not frame.f_code.co_filename.startswith(_HERE):
            break
        level += 1
    warnings.warn(text, kind, stacklevel=level)
