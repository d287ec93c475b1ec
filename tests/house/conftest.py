"""The project's own files, as the house tests see them: what git tracks, and what is new and not ignored."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OURS = ("protocol", "firmware_emu", "hil", "scripts", "tests")


@pytest.fixture(scope="session")
def root() -> Path:
    """Top of the project."""
    return ROOT


@pytest.fixture(scope="session")
def project_files() -> list[Path]:
    """Every file that is ours, relative to the top."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    if listing.returncode == 0:
        names = [Path(name) for name in listing.stdout.split("\0") if name]
    else:  # an unpacked archive
        names = [path.relative_to(ROOT) for top in OURS for path in (ROOT / top).rglob("*")]
        names += [path.relative_to(ROOT) for path in ROOT.iterdir()]
    return sorted(name for name in names if (ROOT / name).is_file() and "__pycache__" not in name.parts)


@pytest.fixture(scope="session")
def python_files(project_files: list[Path]) -> list[Path]:
    """Every Python file that is ours, relative to the top."""
    return [path for path in project_files if path.suffix == ".py"]
