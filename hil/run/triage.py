"""Whose fault a failed test is, decided by a table of evidence. It observes nothing itself: evidence is handed in.

Rows are tried in order, and the first that fits decides. Where none does, nobody knows, and that is said. No pytest
here.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from hil.errors import (
    BadConfiguration,
    BenchLost,
    Declined,
    DeviceError,
    InUse,
    LacksKey,
    LeaseLost,
    LineGap,
    LinkError,
    NotTheSame,
    OutcomeUnknown,
    PumpbenchError,
    RefusalLost,
    SessionRefused,
    UsageError,
    in_one_line,
    loss_behind,
)
from hil.line_facts import LineFacts
from hil.report.records import Accused
from hil.run.raising_code import Code
from protocol.wire.limits import TIMEOUTS_MS

if TYPE_CHECKING:
    from collections.abc import Callable

LATE_MS: Final = TIMEOUTS_MS[0]
"""A host that is later than the first time-out of the link may have missed an answer that was there."""
HOST_IS_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""What no test, line or pump can do to a host."""
LONGEST_CONCERN: Final = 120
QUIET: Final = LineFacts()
"""Of a test that had no line, or of which nothing is known."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was seen of one failed phase of a test."""

    error: BaseException | None
    """What was raised; None where a test passed that was to fail."""
    raised_in: Code
    through_test: bool = False
    """Whether code of the test, or of its fixtures, was under way."""
    concern: str = ""
    """The statement that failed, where something of it came from the pump or its bench; "" elsewhere."""
    beyond: str = ""
    """What was measured beyond its limits, in words."""
    timed_out: bool = False
    """Whether the limit of the test's duration ended it."""
    is_assertion: bool = False
    """Whether the test itself said that it failed."""
    line: LineFacts = QUIET
    host: str = ""
    """How busy the host was, in words."""

    @property
    def cause(self) -> BaseException | None:
        """What was raised; where an outcome is unknown since the bench went away, that."""
        return None if self.error is None else loss_behind(self.error)

    @property
    def no_answer(self) -> bool:
        """Whether the test failed for want of an answer, whoever owes it."""
        return self.timed_out or isinstance(self.cause, LinkError | OutcomeUnknown)

    @property
    def said(self) -> str:
        """The first line of what was raised."""
        text = str(self.cause).partition("\n")[0]
        return f"{type(self.cause).__name__}: {in_one_line(text)}" if text else type(self.cause).__name__


class Judgement(NamedTuple):
    """Whose fault, and by what evidence, in one line."""

    accused: Accused
    evidence: str


class Rule(NamedTuple):
    """One row: evidence that decides, whom it accuses, and why in words."""

    fits: Callable[[Evidence], bool]
    accused: Accused
    why: Callable[[Evidence], str]


def _is(*kinds: type[BaseException]) -> Callable[[Evidence], bool]:
    return lambda seen: isinstance(seen.cause, kinds)


def _host_is_full(seen: Evidence) -> bool:
    full = isinstance(seen.error, OSError) and seen.error.errno in HOST_IS_FULL
    return full or isinstance(seen.error, MemoryError)


def _silence(seen: Evidence) -> str:
    """Why nobody knows whose fault it is that no answer came."""
    if seen.timed_out:
        return "it took longer than its limit, and nothing that was counted says why"
    if seen.line.faults_of_test or seen.line.by_hand:
        return "no answer came, and the test itself disturbed or used the bare line: whether more was lost is not known"
    if seen.line.answers_now is False:
        return (
            "nobody answers, also not afterwards, and nothing arrives damaged: the pump may be without power or hang,"
            " or its line be open"
        )
    if seen.line.answers_now:
        return "no answer came, but the pump answers now, and neither end counted a lost or damaged frame"
    return "no answer came, and there is nobody to ask what was counted"


RULES: Final = (
    Rule(
        _is(LeaseLost, InUse),
        Accused.BENCH,
        lambda seen: f"somebody else has it, or took it away ({seen.said})",
    ),
    Rule(
        lambda seen: seen.line.power_off and (seen.no_answer or isinstance(seen.cause, BenchLost)),
        Accused.TEST,
        lambda _seen: "the test has cut the pump's power with its rig and not restored it",
    ),
    Rule(
        lambda seen: isinstance(seen.cause, BenchLost) and seen.raised_in is Code.INSTRUMENT,
        Accused.BENCH,
        lambda seen: f"an instrument failed ({seen.said})",
    ),
    Rule(_is(BenchLost), Accused.BENCH, lambda seen: f"line or bench is gone ({seen.said})"),
    Rule(_is(Declined), Accused.BENCH, lambda seen: f"a person at the bench said no ({seen.said})"),
    Rule(
        _is(UsageError),
        Accused.TEST,
        lambda seen: f"the test asks for what cannot be asked for ({seen.said})",
    ),
    Rule(_is(LacksKey), Accused.BENCH, lambda seen: f"the bench has no key for it ({seen.said})"),
    Rule(
        lambda seen: (
            isinstance(seen.cause, BadConfiguration)
            and seen.through_test
            and seen.raised_in is not Code.INSTRUMENT
        ),
        Accused.TEST,
        lambda seen: f"the test names what cannot be right ({seen.said})",
    ),
    Rule(
        _is(BadConfiguration),
        Accused.BENCH,
        lambda seen: f"address, key file or bench file are wrong ({seen.said})",
    ),
    Rule(
        _is(SessionRefused),
        Accused.DEVICE,
        lambda seen: f"the pump itself refused a session, which carries no tag yet ({seen.said})",
    ),
    Rule(
        _is(DeviceError, RefusalLost),
        Accused.DEVICE,
        lambda seen: f"the pump itself answered so ({seen.said})",
    ),
    Rule(
        _is(NotTheSame),
        Accused.DEVICE,
        lambda seen: f"the pump itself answered otherwise than recorded ({seen.said})",
    ),
    # No answer: the pump, the line and this host each may owe it.
    Rule(
        lambda seen: seen.no_answer and seen.line.restarts > 0,
        Accused.DEVICE,
        lambda _seen: "no answer came, and the pump has started again by itself in this test (boot_count)",
    ),
    Rule(
        lambda seen: seen.no_answer and (seen.line.lost_lines > 0 or isinstance(seen.cause, LineGap)),
        Accused.LINK,
        lambda seen: (
            "the line was lost and came back: "
            + (", ".join(gap.words for gap in seen.line.gaps) or seen.said)
        ),
    ),
    Rule(
        lambda seen: seen.no_answer and seen.line.late_ms >= LATE_MS,
        Accused.HARNESS,
        lambda seen: (
            f"no answer came, and this host looked at the line {seen.line.late_ms} ms after its own deadline"
            + (f" ({seen.host})" if seen.host else "")
        ),
    ),
    Rule(
        lambda seen: (
            seen.no_answer
            and not seen.line.faults_of_test
            and not seen.line.by_hand
            and seen.line.damaged > 0
        ),
        Accused.LINK,
        lambda _seen: "no answer came, and frames arrived damaged",
    ),
    Rule(
        lambda seen: (
            seen.no_answer
            and not seen.line.faults_of_test
            and not seen.line.by_hand
            and seen.line.repeated > 0
            and seen.line.answers_now is True
        ),
        Accused.LINK,
        lambda _seen: (
            "no answer came to frames that were sent again, and the pump, which was up all the while, answers now: "
            "frames were lost"
        ),
    ),
    Rule(lambda seen: seen.no_answer, Accused.NOT_KNOWN, _silence),
    Rule(_host_is_full, Accused.HARNESS, lambda seen: f"this host has run out of something ({seen.said})"),
    Rule(_is(PumpbenchError), Accused.NOT_KNOWN, lambda seen: f"nobody is accused by {seen.said}"),
    # The test says that it failed.
    Rule(
        lambda seen: seen.error is None,
        Accused.TEST,
        lambda _seen: "it passed, and its mark says that it is known to fail",
    ),
    Rule(
        lambda seen: bool(seen.beyond),
        Accused.DEVICE,
        lambda seen: f"measured beyond its limits: {in_one_line(seen.beyond)}",
    ),
    Rule(
        lambda seen: seen.raised_in is Code.DEVICE,
        Accused.DEVICE,
        lambda seen: f"{seen.raised_in.value} raised {seen.said}",
    ),
    Rule(
        lambda seen: seen.raised_in in {Code.HARNESS, Code.INSTRUMENT},
        Accused.HARNESS,
        lambda seen: f"{seen.raised_in.value} raised {seen.said}, which is none of its errors",
    ),
    Rule(
        lambda seen: seen.is_assertion and bool(seen.concern),
        Accused.DEVICE,
        lambda seen: f"what came from the pump or its rig is not as `{_shortened(seen.concern)}` expects",
    ),
    Rule(
        lambda seen: seen.is_assertion and seen.raised_in is Code.TEST,
        Accused.TEST,
        lambda _seen: (
            "what failed in the test's own code concerns nothing that came from the pump or its rig"
        ),
    ),
    Rule(
        lambda seen: seen.raised_in is Code.TEST,
        Accused.TEST,
        lambda seen: f"{seen.raised_in.value} raised {seen.said}",
    ),
)
"""From what was seen to whose fault it is, the surest first."""


def judge(seen: Evidence) -> Judgement:
    """Whose fault it is, by the first rule that fits; what both ends counted beside it stands in brackets."""
    rule = next((each for each in RULES if each.fits(seen)), None)
    accused = Accused.NOT_KNOWN if rule is None else rule.accused
    why = f"raised in {seen.raised_in.value}: {seen.said}" if rule is None else rule.why(seen)
    counted = seen.line.in_words()
    return Judgement(accused, f"{why} [{counted}]" if counted else why)


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_CONCERN else f"{line[:LONGEST_CONCERN]} ..."
