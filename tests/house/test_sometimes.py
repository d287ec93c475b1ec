"""Tests of the marks of simulations: one that no seed reaches fails, and each is both set and asked for."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from hil.campaign.life_marks import MARKS
from tests.support.for_each import for_each
from tests.support.sometimes import reaches, sometimes


def test_a_test_that_never_came_where_it_meant_to_go_fails_and_names_the_place() -> None:
    @reaches("three", "seven", "nine")
    @for_each("seed", range(5))
    def story(seed: int) -> None:
        sometimes("three", seed == 3)
        sometimes("seven", seed == 7)

    with pytest.raises(AssertionError, match=r"^story never reached: seven; nine$"):
        story()


def test_one_seed_is_enough_and_a_run_in_a_run_counts_for_both() -> None:
    @reaches("inner")
    def inner() -> None:
        sometimes("inner")

    @reaches("inner", "outer")
    def outer() -> None:
        inner()
        sometimes("outer")

    outer()


def test_a_story_that_fails_says_why_and_not_what_it_missed() -> None:
    @reaches("the end")
    def story() -> None:
        raise KeyError("in the middle")

    with pytest.raises(KeyError):
        story()


def test_what_was_reached_in_one_test_is_forgotten_in_the_next() -> None:
    @reaches("it")
    def story(*, gets_there: bool) -> None:
        sometimes("it", gets_there)

    story(gets_there=True)
    with pytest.raises(AssertionError, match="never reached: it"):
        story(gets_there=False)


def marks_in(source: str, function: str) -> set[str]:
    """Marks given to one of the two functions, which must be plain strings."""
    found: set[str] = set()
    if function not in source:
        return found
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in (function, f"self.{function}"):
            arguments = node.args[:1] if function == "sometimes" else node.args
            found |= {ast.literal_eval(argument) for argument in arguments}
    return found


def test_every_mark_is_asked_for_and_every_mark_asked_for_is_set_somewhere(
    root: Path, python_files: list[Path]
) -> None:
    rooms = (("tests", "simulation"), ("hil", "campaign"))
    sources = [(root / path).read_text() for path in python_files if path.parts[:2] in rooms]
    given = set().union(*(marks_in(source, "sometimes") for source in sources))
    asked = set().union(*(marks_in(source, "reaches") for source in sources))
    of_lives = (
        marks_in((root / path).read_text(), "sometimes")
        for path in python_files
        if path.parts[:2] == rooms[1]
    )
    assert set().union(*of_lives) == set(MARKS), "a campaign tells of those that are declared"
    assert given
    assert given == asked
