"""Generated parts of documents are what the code says, and a part that somebody changed by hand is noticed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DOCUMENTS = {
    "generate_mode_diagram.py": ("firmware_emu/DESIGN.md", "stateDiagram-v2\n"),
    "generate_program_schema.py": (
        "hil/programs/program.schema.json",
        '"title": "pumpbench program file",\n',
    ),
    "generate_profile_schema.py": (
        "fixtures/profiles/profile.schema.json",
        '"title": "pumpbench profile",\n',
    ),
    "generate_spec_tables.py": ("protocol/SPEC.md", "<!-- table: commands -->\n"),
    "lock_messages.py": (None, ""),
}


def check(generator: str, place: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, f"scripts/{generator}", "--check"],
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(place)},
        check=False,
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def copied(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages, their documents and the scripts in a place of their own."""
    place = tmp_path_factory.mktemp("project")
    for part in ("protocol", "firmware_emu", "hil", "scripts", "fixtures"):
        shutil.copytree(root / part, place / part, ignore=shutil.ignore_patterns("__pycache__"))
    return place


def test_every_program_with_a_check_twin_is_tried_here(root: Path) -> None:
    twins = {path.name for path in (root / "scripts").glob("*.py") if '"--check"' in path.read_text()}
    assert twins == set(DOCUMENTS)


@pytest.mark.parametrize("generator", DOCUMENTS)
def test_what_is_generated_is_up_to_date(root: Path, generator: str) -> None:
    done = check(generator, root)
    assert done.returncode == 0, done.stderr + done.stdout


@pytest.mark.parametrize(
    ("generator", "document", "inside"),
    [(generator, document, inside) for generator, (document, inside) in DOCUMENTS.items() if document],
)
def test_a_generated_part_changed_by_hand_is_noticed(
    copied: Path, generator: str, document: str, inside: str
) -> None:
    path = copied / document
    good = path.read_text()
    assert inside in good
    path.write_text(good.replace(inside, inside + "changed by hand\n"))
    assert check(generator, copied).returncode == 1
    path.write_text(good)
    assert check(generator, copied).returncode == 0
