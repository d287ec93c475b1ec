"""The pump of each Robot test, and what was opened on it: one `BenchSession` a suite, one `TestBench` a test.

The same two that the pytest plugin has, so that a suite of either kind meets the same pump.
"""

from __future__ import annotations

import os
from contextlib import suppress
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from hil import address as addresses
from hil.bench_session import BenchSession
from hil.capabilities import parse_needs
from hil.errors import PumpbenchError, UsageError
from hil.robot.failures import Failure, RunIsOver, Skipped, failure_of

if TYPE_CHECKING:
    from hil.bench_of_test import TestBench
    from hil.programmer.programmer import Programmer
    from hil.rig import Rig
    from protocol.identifiers import Role

WITHOUT_EFFECT: Final = "without-effect:"
"""How the tag of a test begins that injects a fault which takes no effect."""


class PumpFor(StrEnum):
    """What has a pump of its own: each test, or the suite as a whole."""

    TEST = "test"
    SUITE = "suite"


class SuiteBench:
    """The bench of one suite. Nothing of it is opened before a keyword needs it."""

    def __init__(
        self, target: str | None, profile: str | None, seed: int | None, baud: int | None, pump_for: PumpFor
    ) -> None:
        self._chosen = (target, profile, seed, baud)
        self._pump_for = pump_for
        self._session: BenchSession | None = None
        self._bench: TestBench | None = None
        self._programmers: dict[Role, Programmer] = {}
        self._test: str | None = None
        self._without_effect: frozenset[str] = frozenset()

    @property
    def session(self) -> BenchSession:
        """The target, looked at: a board has passed its preflight. RunIsOver where that cannot be right."""
        if self._session is None:
            target, profile, seed, baud = self._chosen
            try:
                address = addresses.choose(target, os.environ.get(addresses.ENVIRONMENT_NAME), None)
                session = BenchSession(address, profile, seed, baud)
                session.purpose = "Robot Framework"
                self._session = session  # from here on `close` gives it back
                session.reach()
                session.preflight(None)
            except PumpbenchError as error:
                self.close()
                raise RunIsOver(error.one_line()) from None
        return self._session

    @property
    def bench(self) -> TestBench:
        """What the test, or the suite, works with; its pump is started when it is first wanted."""
        if self._bench is None:
            if self._pump_for is PumpFor.TEST and self._test is None:
                raise UsageError(
                    "each test has a pump of its own here, and this is the set-up or tear-down of a suite",
                    advice="use the keyword in a test or its set-up, or import the library with pump_for=suite",
                )
            session = self.session
            self._bench = session.open_bench(self._test or "suite")
        return self._bench

    def programmer(self, role: Role) -> Programmer:
        """The programmer of a role, its session open; one a role and test."""
        if role not in self._programmers:
            self._programmers[role] = self.bench.open_programmer(role)
        return self._programmers[role]

    def rig(self, *needs: str) -> Rig:
        """The rig, for what it can do by these names; Skipped where it lacks one of them."""
        self.check_needs(*needs)
        return self.bench.rig

    def check_needs(self, *needs: str) -> None:
        """Skipped where the target lacks one of these capabilities; UsageError for a name that is none."""
        try:
            wanted = parse_needs(needs)
        except ValueError as error:
            raise UsageError(str(error)) from None
        lacking = self.session.lacking(wanted, changed=False)
        if lacking:
            raise Skipped(f"target {self.session.address} has no {', '.join(lacking)}")

    def last_frames(self) -> str:
        """The last frames of each programmer; empty where nothing was said."""
        return "" if self._bench is None else self._bench.last_frames()

    def begin_test(self, name: str) -> None:
        """A test begins."""
        self._test = name

    def end_test(
        self, *, passed: bool, without_effect: frozenset[str] = frozenset(), judges_suite: bool
    ) -> Failure | None:
        """A test is over; returns what speaks against it where it has passed.

        `without_effect`: faults of which the test says that they take none. `judges_suite`: it is the last, and has not
        failed, so that it answers for the faults of all where they have one pump.
        """
        self._test = None
        if self._pump_for is PumpFor.TEST:
            return self._end_bench(passed=passed, without_effect=without_effect)
        self._without_effect |= without_effect
        if not judges_suite or self._bench is None:
            return None
        return _without_effect(self._bench, self._without_effect)

    def close(self) -> None:
        """Give back pump and target."""
        with suppress(PumpbenchError):
            self._end_bench(passed=None)
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def _end_bench(
        self, *, passed: bool | None, without_effect: frozenset[str] = frozenset()
    ) -> Failure | None:
        bench, self._bench = self._bench, None
        self._programmers.clear()
        if bench is None:
            return None
        found = _without_effect(bench, without_effect) if passed else None
        try:
            bench.close(passed=bool(passed) and found is None)
        except PumpbenchError as error:
            found = found or failure_of(error)
        return found


def _without_effect(bench: TestBench, expected: frozenset[str]) -> Failure | None:
    """What speaks against tests that passed: faults of theirs that did nothing, but those that are expected to."""
    try:
        bench.check_all_fired(expected)
    except UsageError as error:
        return Failure(
            f"{error.accused}: {error.message}; tag the test {WITHOUT_EFFECT}NAME where that is its point"
        )
    except PumpbenchError as error:
        return failure_of(error)
    return None
