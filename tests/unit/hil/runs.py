"""Runs of pytest and of `pumpbench hil run` as processes of their own, as our users start them."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

HOUSE = Path(__file__).resolve().parents[3]
LIMIT_S = 100
OUR_PLUGIN = ("-p", "no:pumpbench", "-p", "hil.plugin", "-p", "no:cacheprovider")


def environment(home: Path, env: dict[str, str] | None = None, first: Path | None = None) -> dict[str, str]:
    """An environment without anything of this run; `first` stands before us on the path."""
    path = f"{first}:{HOUSE}" if first else str(HOUSE)
    return {"PYTHONPATH": path, "PATH": "/usr/bin:/bin", "HOME": str(home)} | (env or {})


def pytest_command(directory: Path, text: str, *arguments: str) -> list[str]:
    """Write a test file and an ini file; the command of a user's own pytest on it."""
    directory.mkdir(exist_ok=True)
    (directory / "test_it.py").write_text(textwrap.dedent(text))
    (directory / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\n")
    return [sys.executable, "-m", "pytest", *OUR_PLUGIN, *arguments, str(directory)]


def pytest_on(
    directory: Path,
    text: str,
    *arguments: str,
    env: dict[str, str] | None = None,
    first: Path | None = None,
) -> Any:
    """A user's own pytest on a test file, to its end."""
    return subprocess.run(
        pytest_command(directory, text, *arguments),
        capture_output=True,
        text=True,
        cwd=directory,
        env=environment(directory, env, first),
        timeout=LIMIT_S,
        check=False,
    )


def hil_run(
    directory: Path, *arguments: str, env: dict[str, str] | None = None, first: Path | None = None
) -> Any:
    """`pumpbench hil run` to its end; its report lies in `directory / "report"`."""
    return subprocess.run(
        [sys.executable, "-m", "hil.cli", "hil", "run", "--report", str(directory / "report"), *arguments],
        capture_output=True,
        text=True,
        cwd=directory,
        env=environment(directory, env, first),
        timeout=LIMIT_S,
        check=False,
    )


def third_party_plugin(place: Path, text: str) -> Path:
    """Install a plugin as its package would be: a module, and metadata that names it to pytest. Its place."""
    info = place / "neighbour-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: neighbour\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[pytest11]\nneighbour = neighbour\n")
    (place / "neighbour.py").write_text(textwrap.dedent(text))
    return place


def summary(directory: Path) -> str:
    """The summary of the report in this directory."""
    return (directory / "report" / "summary.txt").read_text()
