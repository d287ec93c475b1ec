"""A loop over cases runs each of them, and names each that failed."""

from __future__ import annotations

import pytest

from tests.support import soak
from tests.support.for_each import for_each


def test_every_case_runs_and_each_that_failed_is_named() -> None:
    ran = []

    @for_each("number", range(5), name=lambda number: f"number {number}")
    def check(number: int) -> None:
        ran.append(number)
        assert number not in {1, 3}, "is odd"

    with pytest.raises(
        AssertionError, match=r"^2 of 5 failed: number 1; number 3\n  number 1: .*is odd"
    ) as told:
        check()
    assert ran == [0, 1, 2, 3, 4]
    assert str(told.value.__cause__).startswith("is odd")


def test_loops_in_loops_make_every_pair() -> None:
    ran = []

    @for_each("first", [ValueError, KeyError])
    @for_each(("second", "third"), [("a", 1), ("b", 2)])
    def check(first: type, second: str, third: int) -> None:
        ran.append((first, second, third))
        assert first is not KeyError or second != "b"

    with pytest.raises(AssertionError, match=r"^1 of 2 failed: KeyError\n  .*: 1 of 2 failed: b, third 2\n"):
        check()
    assert ran == [(ValueError, "a", 1), (ValueError, "b", 2), (KeyError, "a", 1), (KeyError, "b", 2)]


def test_what_did_not_raise_and_what_skipped_itself_has_failed() -> None:
    @for_each("skips", [True, False])
    def check(skips: bool) -> None:
        if skips:
            pytest.skip("no reason")
        with pytest.raises(ValueError):  # noqa: PT011 (nothing is raised)
            pass

    with pytest.raises(AssertionError, match=r"^2 of 2 failed: skips True; skips False\n"):
        check()


def test_a_table_without_a_case_is_an_error() -> None:
    with pytest.raises(ValueError, match="no case of cls"):
        for_each("cls", [])


def test_the_marks_of_a_check_are_those_of_its_loop() -> None:
    @pytest.mark.timeout(7)
    def check(number: int) -> None:
        """What it says."""

    loop = for_each("number", [1])(check)
    assert [mark.name for mark in vars(loop)["pytestmark"]] == ["timeout"]
    assert (loop.__name__, loop.__doc__) == ("check", "What it says.")


def test_a_part_of_the_cases_is_the_same_each_time_with_the_first_and_the_last_and_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(soak, "PLAYED", {})
    monkeypatch.setattr(soak, "PLAYS_ALL", False)
    played: list[list[int]] = []
    for name in ("one", "one", "another"):
        ran: list[int] = []

        def check(number: int, ran: list[int] = ran) -> None:
            ran.append(number)

        check.__qualname__ = name
        for_each("number", range(90), one_in=3)(check)()
        played.append(ran)
    assert played[0] == played[1] != played[2]
    assert all(ran[0] == 0 and ran[-1] == 89 and ran == sorted(ran) for ran in played)
    assert all(30 <= len(ran) <= 32 for ran in played)
    assert soak.rounds_of("rounds", 1_000, 10) == 10
    some = len(played[0]) + len(played[2]) + 10
    assert soak.told(soak.PLAYED).startswith(
        f"{some:,} of 1,180 cases and rounds of 3 long loops were played"
    )


def test_a_long_run_plays_every_case_and_has_nothing_to_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soak, "PLAYED", {})
    monkeypatch.setattr(soak, "PLAYS_ALL", True)
    assert soak.part_of("cases", range(90), one_in=3) == list(range(90))
    assert soak.rounds_of("rounds", 1_000, 10) == 1_000
    assert not soak.told(soak.PLAYED)


def test_a_part_of_few_cases_has_some() -> None:
    assert soak.part_of("none", [], one_in=3) == []
    assert soak.part_of("one", ["only"], one_in=3) == ["only"]
    assert soak.part_of("two", ["first", "last"], one_in=9) == ["first", "last"]
