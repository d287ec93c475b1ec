"""What a test of the suite needs of its bench it uses: a need too many skips it on a board that could run it."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping

SUITE: Final = sorted((Path(__file__).parents[2] / "hil" / "suite").glob("test_*.py"))
USES: Final[Mapping[str, str]] = {
    "truth": r"truth|\.state\(\)",
    "tones": r"tones",
    "balance": r"weigh|Scale\(",
    "magnet": r"inject\(.magnet.\)",
    "stall": r"stall\(",
    "power": r"power_cut|power_restore|cut_and_restore",
    "faults": r"inject\(|faults\(|aspirate|fill\(|fault\(",
}
"""How a test uses what it needs. Of `time` nobody can see it: a line that loses frames waits for it."""
OF_THE_TARGET: Final = frozenset({"test_a_pump_whose_truth_a_bench_can_read_says_that_it_is_virtual"})
"""Tests whose need says which targets are meant: a pump whose truth can be read is an emulated one."""


def needs_of(node: ast.AST) -> set[str]:
    """The capabilities that a mark in this node names."""
    calls = [each for each in ast.walk(node) if isinstance(each, ast.Call)]
    marks = [each for each in calls if re.search(r"\bneeds$", ast.unparse(each.func))]
    return {str(word.value) for mark in marks for word in mark.args if isinstance(word, ast.Constant)}


def unused(source: str) -> list[str]:
    """A line for each need that neither its test, nor a function or fixture of the file that it names, uses."""
    body = ast.parse(source).body
    functions = {each.name: each for each in body if isinstance(each, ast.FunctionDef)}
    whole_file = [each for each in body if isinstance(each, ast.Assign) and "pytestmark" in ast.unparse(each)]
    for_all = set().union(*map(needs_of, whole_file))

    def reached(name: str, before: frozenset[str] = frozenset()) -> str:
        text = "\n".join(map(ast.unparse, [functions[name].args, *functions[name].body]))
        others = [
            each for each in functions if each not in before | {name} and re.search(rf"\b{each}\b", text)
        ]
        return "\n".join([text, *(reached(each, before | {name}) for each in others)])

    return [
        f"{name} needs {need}, and does not use it"
        for name, function in functions.items()
        if name.startswith("test_") and name not in OF_THE_TARGET
        for need in sorted(for_all.union(*map(needs_of, function.decorator_list)))
        if need in USES and not re.search(USES[need], reached(name))
    ]


@pytest.mark.parametrize("path", SUITE, ids=lambda path: path.stem)
def test_a_test_needs_of_its_bench_what_it_uses(path: Path) -> None:
    assert unused(path.read_text()) == []


def test_a_need_too_many_is_found_at_the_test_and_at_the_file() -> None:
    source = """
pytestmark = pytest.mark.needs("truth", "reset")
def cut(rig): rig.power_cut()
@needs("power")
def test_a(rig): cut(rig)
@needs("tones")
def test_b(rig): rig.state()
"""
    assert unused(source) == [
        "test_a needs truth, and does not use it",
        "test_b needs tones, and does not use it",
    ]
