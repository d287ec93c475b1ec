"""Nothing in the project names the machine that it was written on: no home, no registry, no host."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

MACHINE = re.compile(
    r"(?<![\w.])/(?:home|root|Users|work|tmp)/\w"
    r"|C:\\\\?Users"
    r"|python[h]osted|index[-]url|find[-]links|artifactory|trusted[-]host|https?://[\w.]+/simple\b"
    r"|@ file:"
)
THIS_FILE = Path(__file__).name
SLASH = "/"  # so that this file does not name what it looks for
BINARY = {".bin", ".pcapng", ".png"}


def machine_names(text: str) -> list[str]:
    """Every place of the text that names a machine."""
    return [found.group() for found in MACHINE.finditer(text)]


def test_no_file_names_a_machine_or_a_registry(root: Path, project_files: list[Path]) -> None:
    looked_at = [path for path in project_files if path.suffix not in BINARY and path.name != THIS_FILE]
    assert looked_at
    named = {str(path): machine_names((root / path).read_text(encoding="utf-8")) for path in looked_at}
    assert {path: found for path, found in named.items() if found} == {}


@pytest.mark.parametrize(
    "line",
    [
        f"open('{SLASH}home/someone/x')",
        f"cd {SLASH}work/x",
        "--index" + "-url=mirror",
        "click @ file:///wheels/click.whl",
        "https://packages.example/simple",
    ],
)
def test_a_machine_name_is_found(line: str) -> None:
    assert machine_names(line) != []


@pytest.mark.parametrize("line", ["hil/suite/home/x", "GET /v1/state", "the root/branch of it", "./work/x"])
def test_an_innocent_path_is_left_alone(line: str) -> None:
    assert machine_names(line) == []


def test_constraints_pin_every_version_and_nothing_else(root: Path) -> None:
    lines = (root / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert [pin for pin in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9A-Za-z.]*", pin)] == []
