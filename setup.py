"""Drives CMake; everything else is in pyproject.toml."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent.resolve()


class CMakeBuild(build_ext):
    """Build the extension with CMake and Ninja, both from the build requirements."""

    def build_extension(self, ext: Extension) -> None:
        import pybind11

        target = Path(self.get_ext_fullpath(ext.name)).resolve().parent
        work = Path(self.build_temp).resolve()
        work.mkdir(parents=True, exist_ok=True)
        # pip builds in a new environment each time: paths of the last one are gone
        (work / "CMakeCache.txt").unlink(missing_ok=True)
        configure = [
            "cmake",
            *("-S", str(ROOT), "-B", str(work), "-G", "Ninja"),
            f"-DPython_EXECUTABLE={sys.executable}",
            f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
            f"-DCMAKE_LIBRARY_OUTPUT_DIRECTORY={target}",
            "-DCMAKE_BUILD_TYPE=Release",
            *os.environ.get("PANTINY_CMAKE_ARGS", "").split(),
        ]
        subprocess.run(configure, check=True)
        subprocess.run(["cmake", "--build", str(work), "--target", "_core"], check=True)


def packages() -> list[str]:
    """``pantiny`` and, from ``kernels/``, ``pantiny.kernels``."""
    ours = find_packages(include=["pantiny", "pantiny.*"], exclude=["pantiny.kernels*"])
    return [*ours, "pantiny.kernels", *(f"pantiny.kernels.{p}" for p in find_packages("kernels"))]


setup(
    packages=packages(),
    package_dir={"pantiny.kernels": "kernels"},
    ext_modules=[Extension("pantiny._core", [])],
    cmdclass={"build_ext": CMakeBuild},
)
