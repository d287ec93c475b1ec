"""Which tests did not run, and why; on a build server also whether that may be.

A test that needs a program of Debian says so by `needs_program` or `skip_without`, one that needs an extra of ours by
`needs_extra`: each set-up has all extras. The end of a run names every test that did not run, and where CI=true a skip
is a failure unless it is for a program that `scripts/debian-packages.txt` lists and that is not there, or for a right
that no package gives.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

LIST = Path(__file__).parents[2] / "scripts" / "debian-packages.txt"
ON_A_SERVER = os.environ.get("CI") == "true"
_NEEDS = re.compile(r"needs (\S+), which is not here: apt-get install (\S+)")
_NAMES_NOTHING = "it names no program that it needs (tests/support/not_run.py)"
_NO_PACKAGE_MENDS = re.compile(r"needs the right to .+: run as root")


def needs_program(program: str, *, package: str) -> pytest.MarkDecorator:
    """The mark of tests that are skipped where a program is not on the PATH, with the line that installs it."""
    return pytest.mark.skipif(shutil.which(program) is None, reason=_reason(program, package))


def needs_extra(module: str, *, extra: str) -> pytest.MarkDecorator:
    """The mark of tests that are skipped where a module of an extra of ours is not installed."""
    missing = importlib.util.find_spec(module) is None
    reason = f"needs {module}, which is not here: pip install 'pumpbench[{extra}]'"
    return pytest.mark.skipif(missing, reason=reason)


def skip_without(program: str, *, package: str) -> None:
    """Skip the test that runs now where a program is not on the PATH."""
    if shutil.which(program) is None:
        pytest.skip(_reason(program, package))


def skip_without_right(to_do_what: str) -> NoReturn:
    """Skip the test that runs now: whoever runs it may not do this, which no package mends."""
    pytest.skip(f"needs the right to {to_do_what}: run as root")


def _reason(program: str, package: str) -> str:
    return f"needs {program}, which is not here: apt-get install {package}"


def listed_packages(text: str) -> set[str]:
    """The packages of a list: words, with comments from # to the end of the line."""
    return set(re.sub(r"#.*", "", text).split())


def not_run(reports: Iterable[Any]) -> dict[str, str]:
    """Why each test, or each file as a whole, did not run, by its name; of reports that say `skipped`."""
    found = {}
    for report in reports:
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        found[report.nodeid] = " ".join(why.removeprefix("Skipped: ").split())
    return dict(sorted(found.items()))


def objection(why: str, listed: set[str], where: Callable[[str], str | None] = shutil.which) -> str | None:
    """Why a skip for this reason may not be on a build server; None where it may."""
    needs = _NEEDS.fullmatch(why)
    if needs is None:
        return None if _NO_PACKAGE_MENDS.fullmatch(why) else _NAMES_NOTHING
    program, package = needs.groups()
    if package not in listed:
        return f"{LIST.name} does not list {package}"
    return f"{program} is here" if where(program) else None


def objections(skipped: dict[str, str]) -> list[str]:
    """A line for each skip that may not be on a build server."""
    listed = listed_packages(LIST.read_text())
    found = ((name, objection(why, listed)) for name, why in skipped.items())
    return [f"{name} must run where CI=true: {wrong}" for name, wrong in found if wrong]


def told(skipped: dict[str, str]) -> list[str]:
    """The last lines of a run; none where everything ran."""
    lines = [f"did not run: {name}: {why}" for name, why in skipped.items()]
    return lines + (objections(skipped) if ON_A_SERVER else [])
