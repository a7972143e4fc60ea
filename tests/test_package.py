"""The package as a whole: imports, silence, snippets in the docs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
IMPORT_LIMIT_S = 0.15


def run(code: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, cwd=cwd
    )


def test_import_is_quick_silent_and_without_torch() -> None:
    code = (
        "import time; t = time.perf_counter(); import pantiny; e = time.perf_counter() - t\n"
        "import sys; assert not {'torch', 'numpy', 'rasterio'} & set(sys.modules); print(e)"
    )
    runs = [run(code) for _ in range(5)]
    assert all(r.returncode == 0 and not r.stderr for r in runs), runs[0].stderr
    assert min(float(r.stdout) for r in runs) < IMPORT_LIMIT_S


def test_fusing_does_not_import_torch() -> None:
    code = (
        "import numpy as np, pantiny, sys\n"
        "pantiny.fuse(np.full((4, 4, 4), 9, 'u1'), np.full((16, 16), 9, 'u1'))\n"
        "assert 'torch' not in sys.modules"
    )
    result = run(code)
    assert result.returncode == 0, result.stderr


def test_public_names_exist() -> None:
    import pantiny

    for name in pantiny.__all__:
        assert getattr(pantiny, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        pantiny.nothing  # noqa: B018


def test_public_submodules_are_attributes() -> None:
    names = "benchmarks classical degrade demo errors evaluate kernels metrics sensors weights"
    for name in names.split():
        result = run(f"import pantiny; assert pantiny.{name}.__name__ == 'pantiny.{name}'")
        assert result.returncode == 0, result.stderr
    for name in ("classes", "streaming"):
        code = f"import pantiny.metrics as m; assert m.{name}.__name__ == 'pantiny.metrics.{name}'"
        result = run(f"{code}; assert '{name}' in dir(m)")
        assert result.returncode == 0, result.stderr


def test_version_is_the_distributions() -> None:
    import importlib.metadata

    import pantiny

    try:
        installed = importlib.metadata.version("pantiny")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("pantiny is not installed")
    assert installed == pantiny.__version__


def snippets() -> list[tuple[str, str]]:
    found = []
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for i, code in enumerate(re.findall(r"```python\n(.*?)```", path.read_text(), re.S)):
            found.append((f"{path.name}-{i}", code))
    return found


@pytest.mark.parametrize(("name", "code"), snippets(), ids=[n for n, _ in snippets()])
def test_snippets_run(name: str, code: str, tmp_path: Path) -> None:
    """Every Python snippet of the docs, in a folder that holds ms.tif and pan.tif."""
    if "torch" in code:
        pytest.importorskip("torch")
    from pantiny.demo import make_scene, write_scene

    files = write_scene(make_scene(128, seed=1), tmp_path)
    os.rename(files["ms"], tmp_path / "ms.tif")
    os.rename(files["pan"], tmp_path / "pan.tif")
    result = run(code, cwd=tmp_path)
    assert result.returncode == 0, result.stderr


def test_no_paths_of_a_machine_in_tracked_files() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    tracked = subprocess.run(
        ["git", "grep", "-nIE", r"(^|[^A-Za-z0-9_.])/(home|root|work)/", "--", ".", ":!tests"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert tracked.stdout == ""
