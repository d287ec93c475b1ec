"""Each fault and each recall hazard that the domain numbers has a test that is marked with it, or a reason.

A mark is a comment above a test: `# FI 07`, `# FI 01, 02`, `# RH-15`, `# FI 51; RH-08: fixed firmware`. What is not
modelled has its number in that section of FIDELITY.md [DOMAIN 6.8, 8].
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

FAULTS = range(1, 71)
HAZARDS = range(1, 23)
MARKED = ("tests/", "hil/suite/")

_MARK = re.compile(r"# (?:FI \d|RH-\d|WE-\d)")
_FAULT_NUMBERS = re.compile(r"\bFI (\d\d(?:, \d\d)*)\b")
_HAZARD_NUMBERS = re.compile(r"\bRH-(\d\d)\b")


class LostMarkError(Exception):
    """A mark above something that is no test, so that it shows nothing."""


class Marks:
    """The numbers of faults and of hazards that marks name."""

    def __init__(self) -> None:
        self.faults: set[int] = set()
        self.hazards: set[int] = set()

    def read(self, source: str) -> None:
        """Take in the marks of one file. LostMarkError where one stands above no test."""
        lines = source.splitlines()
        if not any(map(_MARK.match, lines)):
            return
        above_tests = {
            number
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
            for number in _comments_above(lines, node)
        }
        for number, line in enumerate(lines):
            if not _MARK.match(line):
                continue
            if number not in above_tests:
                raise LostMarkError(f"line {number + 1}: {line}")
            self.faults |= fault_numbers(line)
            self.hazards |= {int(found) for found in _HAZARD_NUMBERS.findall(line)}


def fault_numbers(text: str) -> set[int]:
    """The numbers behind each FI."""
    return {int(number) for found in _FAULT_NUMBERS.findall(text) for number in found.split(", ")}


def _comments_above(lines: list[str], test: ast.FunctionDef) -> list[int]:
    first = min([test.lineno, *(decorator.lineno for decorator in test.decorator_list)]) - 1
    found = []
    while first > 0 and lines[first - 1].startswith("#"):
        first -= 1
        found.append(first)
    return found


def not_modelled(page: str) -> set[int]:
    """The faults with a reason in FIDELITY.md, section Not modelled."""
    _, found, rest = page.partition("\n## Not modelled\n")
    assert found, "FIDELITY.md has no section Not modelled"
    rows = rest.partition("\n## ")[0]
    return fault_numbers(rows)


@pytest.fixture(scope="module")
def marks(root: Path, python_files: list[Path]) -> Marks:
    """All marks of the suite and of our own tests."""
    marks = Marks()
    for path in python_files:
        if path.as_posix().startswith(MARKED):
            try:
                marks.read((root / path).read_text())
            except LostMarkError as lost:
                raise AssertionError(f"{path} has a mark above no test: {lost}") from lost
    return marks


def test_each_fault_has_a_test_or_a_reason(marks: Marks, root: Path) -> None:
    known = marks.faults | not_modelled((root / "firmware_emu/FIDELITY.md").read_text())
    assert [f"FI {number:02}" for number in FAULTS if number not in known] == []


def test_each_recall_hazard_has_a_test(marks: Marks) -> None:
    assert [f"RH-{number:02}" for number in HAZARDS if number not in marks.hazards] == []


def test_no_mark_names_a_number_that_the_domain_does_not_have(marks: Marks) -> None:
    assert marks.faults - set(FAULTS) == set()
    assert marks.hazards - set(HAZARDS) == set()


def test_marks_are_read_above_tests_alone() -> None:
    marks = Marks()
    marks.read("# FI 01, 02; RH-08: as reported\n# FI 70\n@decorated\ndef test_x(): ...\nx = 1  # FI 09\n")
    assert (marks.faults, marks.hazards) == ({1, 2, 70}, {8})
    for lost in ("# FI 03\ndef held(): ...\n", "# FI 03\n\ndef test_x(): ...\n", "# RH-03\nx = 1\n"):
        with pytest.raises(LostMarkError, match=r"line 1: # .*03"):
            marks.read(lost)


def test_a_reason_counts_in_its_section_alone() -> None:
    page = "## Modelled\n| a | FI 01 |\n\n## Not modelled\n| b | FI 35, 36 |\n\n## Others\nFI 02\n"
    assert not_modelled(page) == {35, 36}
    with pytest.raises(AssertionError, match="no section"):
        not_modelled("## Modelled\n| a | FI 01 |\n")
