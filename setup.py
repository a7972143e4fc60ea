"""Drives CMake; everything else is in pyproject.toml."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent.resolve()
MAPPED = {"pantiny.kernels": "kernels", "pantiny.benchmarks": "benchmarks"}
SCRIPTS = {"pairs", "quality"}  # of benchmarks/: run from a checkout, not part of the package


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
            f"-DPANTINY_CUDA={os.environ.get('PANTINY_CUDA', 'AUTO')}",
            *os.environ.get("PANTINY_CMAKE_ARGS", "").split(),
        ]
        subprocess.run(configure, check=True)
        subprocess.run(["cmake", "--build", str(work)], check=True)
        if self.editable_mode or self.inplace:  # copies only what is declared above
            for built in target.glob("_cuda*"):
                shutil.copy(built, ROOT / "pantiny" / built.name)


class BuildPy(build_py):
    """Of ``benchmarks/``: leave the scripts out, take the schema along."""

    def find_package_modules(self, package: str, package_dir: str) -> list[tuple[str, str, str]]:
        found = super().find_package_modules(package, package_dir)
        return [m for m in found if package != "pantiny.benchmarks" or m[1] not in SCRIPTS]

    def find_data_files(self, package: str, src_dir: str) -> list[str]:
        found: list[str] = super().find_data_files(package, src_dir)
        own = [os.path.join(src_dir, "schema.json")] if package == "pantiny.benchmarks" else []
        return [*found, *own]


def packages() -> list[str]:
    """``pantiny`` and, from the top-level folders, ``pantiny.kernels`` and ``.benchmarks``."""
    found = find_packages(include=["pantiny", "pantiny.*"], exclude=[f"{p}*" for p in MAPPED])
    for package, folder in MAPPED.items():
        found += [package, *(f"{package}.{p}" for p in find_packages(folder))]
    return found


setup(
    packages=packages(),
    package_dir=MAPPED,
    ext_modules=[Extension("pantiny._core", [])],
    cmdclass={"build_ext": CMakeBuild, "build_py": BuildPy},
)
