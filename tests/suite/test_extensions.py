"""What somebody else's package adds works from an installed wheel, in an environment that has no checkout of ours."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

HOUSE = Path(__file__).resolve().parents[2]
EXTENSIONS = HOUSE / "fixtures" / "extensions"
LIMIT_S = 110
PACKAGED = ("pyproject.toml", "README.md", "LICENSE", "protocol", "firmware_emu", "hil")


def run(*command: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The commands of an environment with pumpbench and the extensions installed, its dependencies ours."""
    place = tmp_path_factory.mktemp("fresh")
    ours = place / "pumpbench"
    ours.mkdir()
    for name in PACKAGED:
        copy = shutil.copytree if (HOUSE / name).is_dir() else shutil.copy
        copy(HOUSE / name, ours / name)
    theirs = shutil.copytree(EXTENSIONS, place / "extensions")
    sources = [ours, *(path.parent for path in theirs.glob("*/pyproject.toml"))]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    built = run(
        *pip,
        "wheel",
        "-q",
        "--no-deps",
        "--no-index",
        "--no-build-isolation",
        "-w",
        place / "wheels",
        *sources,
        cwd=place,
    )
    assert built.returncode == 0, built.stderr
    environment = place / "environment"
    run(sys.executable, "-m", "venv", "--without-pip", environment, cwd=place)
    python = environment / "bin" / "python"
    wheels = sorted((place / "wheels").glob("*.whl"))
    assert len(wheels) == len(sources)
    installed = run(*pip, "--python", python, "install", "-q", "--no-deps", "--no-index", *wheels, cwd=place)
    assert installed.returncode == 0, installed.stderr
    library = run(
        python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=place
    ).stdout.strip()
    Path(library, "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return environment / "bin"


def test_the_environment_is_not_this_checkout(fresh: Path, tmp_path: Path) -> None:
    found = run(
        fresh / "python", "-c", "import hil, protocol, firmware_emu; print(hil.__file__)", cwd=tmp_path
    )
    assert found.stdout.startswith(str(fresh.parent)), found.stderr


def test_a_target_of_somebody_else_is_found_by_its_scheme(fresh: Path, tmp_path: Path) -> None:
    asked = run(
        fresh / "pumpbench", "program", "status", "--target", "logged:line.txt:emulator", cwd=tmp_path
    )
    assert asked.returncode == 0, asked.stderr
    assert "EMULATED pump" in asked.stdout
    lines = (tmp_path / "line.txt").read_text().splitlines()
    assert {line[0] for line in lines} == {"<", ">"}


def test_the_suite_runs_against_it(fresh: Path, tmp_path: Path) -> None:
    ran = run(
        fresh / "pumpbench",
        "hil",
        "run",
        "--target",
        "logged:line.txt:emulator",
        "-k",
        "framing",
        cwd=tmp_path,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert " passed" in ran.stdout


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("logged:line.txt", "names no file and device; write logged:FILE:ADDRESS"),
        ("logged:line.txt:nonsense", "no such target address: 'nonsense'"),
        ("unheard:of", "no such target address: 'unheard:of'"),
    ],
)
def test_a_wrong_address_is_refused_by_whoever_it_is_about(
    fresh: Path, tmp_path: Path, address: str, sentence: str
) -> None:
    asked = run(fresh / "pumpbench", "program", "status", "--target", address, cwd=tmp_path)
    assert asked.returncode == 10
    assert sentence in asked.stderr
    assert asked.stderr.count("\n") == 1
