"""What both ends of a line counted in one test: the facts by which a failure is judged, and no judgement.

Asking the pump for its part changes nothing in it, and waits for a second at most for each of two questions.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from hil.deadline import Deadline
from hil.errors import PumpbenchError
from protocol.identifiers import Role
from protocol.messages.conversation import GetLinkStats, Ping
from protocol.registry import command_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hil.noise import FaultyLine
    from hil.programmer.programmer import Programmer
    from hil.targets.supervisor import Gap
    from hil.watched_rig import WatchedRig
    from protocol.messages.conversation import GetLinkStatsReply

LIMIT_MS: Final = 1_000
SEES_COUNTERS: Final = frozenset({Role.CLINICIAN, Role.SERVICE})
"""Roles that may read the pump's counters of the link [SPEC 6]."""


class LineFacts(NamedTuple):
    """The facts of one test. `damaged_at_pump` and `answers_now` are None where nobody knows."""

    damaged_here: int = 0
    """Frames that arrived here with a bad CRC or bad framing."""
    damaged_at_pump: int | None = None
    """The same at the pump, by its own count."""
    repeated: int = 0
    """Frames that had to be sent again, since nothing answered them in time."""
    opened: int = 0
    """Frames of the pump that arrived whole and, in a session, with a good tag."""
    late_ms: int = 0
    """How late the host itself was against its own deadlines, at most."""
    gaps: tuple[Gap, ...] = ()
    """Losses of the line that the supervisor healed."""
    starts: int = 0
    """How often the pump's program started between two sessions of this test, by its `boot_count`."""
    answers_now: bool | None = None
    """Whether the pump answered after the failure."""
    faults_of_test: int = 0
    """Frames that the test itself lost, damaged, delayed or put on its line."""
    by_hand: bool = False
    """Whether the test used the bare line, where what is damaged or repeated may be its intent."""
    rig_acts: bool = False
    """Whether the test cut the power, or injected a fault, with its rig."""
    power_off: bool = False
    """Whether the test has cut the power with its rig and not restored it."""

    @property
    def damaged(self) -> int:
        """Damaged frames at both ends, as far as they are known and not the test's intent."""
        return self.damaged_here + (0 if self.by_hand else self.damaged_at_pump or 0)

    @property
    def lost_lines(self) -> int:
        """Gaps that no test expected."""
        return sum(not gap.expected for gap in self.gaps)

    @property
    def restarts(self) -> int:
        """Starts of the pump that the test neither caused with its rig nor expected with a gap of the line."""
        return 0 if self.rig_acts or any(gap.expected for gap in self.gaps) else self.starts

    def in_words(self) -> str:
        """What is not as on a quiet day, for people; "" where all is."""
        said = (
            ("damaged frames here", self.damaged_here),
            ("damaged frames at the pump", self.damaged_at_pump or 0),
            ("frames sent again", self.repeated),
            ("gaps of the line", self.lost_lines),
            ("starts of the pump", self.starts),
            ("frames that the test disturbed", self.faults_of_test),
            ("ms that the host was late", self.late_ms),
        )
        return ", ".join(f"{words}: {count}" for words, count in said if count)


def damaged_frames(counters: GetLinkStatsReply) -> int:
    """Frames that arrived damaged at the pump, by its counters."""
    return counters.crc_bad + counters.cobs_bad


def damaged_at_pump(programmers: Iterable[Programmer]) -> int | None:
    """The pump's count of damaged frames, where a session is open that may ask; None where nobody can say."""
    for programmer in programmers:
        if programmer.session.is_open and programmer.session.key.role in SEES_COUNTERS:
            deadline = Deadline.after(LIMIT_MS, programmer.session.now_ms())
            with suppress(PumpbenchError):
                return damaged_frames(programmer.requester.request_once(GetLinkStats(clear=False), deadline))
    return None


def damaged_since(before: int | None, now: int | None) -> int | None:
    """What was counted between two readings; a counter that was set to 0 meanwhile counts from there."""
    if before is None or now is None:
        return None
    return now - before if now >= before else now


def facts_of(
    programmers: Sequence[Programmer],
    lines: Sequence[FaultyLine],
    rig: WatchedRig | None,
    gaps: tuple[Gap, ...],
    *,
    by_hand: bool,
    damaged_before: int | None,
    ask: bool,
) -> LineFacts:
    """The facts. Where the pump is to be asked for its own, what the test still does to its lines is forgotten first.

    `damaged_before` is the pump's count when the test began; None where nobody knows it.
    """
    logs = [programmer.wire_log for programmer in programmers]
    late_ms = max((programmer.session.late_ms_max for programmer in programmers), default=0)
    seen = LineFacts(
        damaged_here=sum(log.damaged for log in logs),
        repeated=sum(log.repeated for log in logs),
        opened=sum(log.opened for log in logs),
        late_ms=late_ms,
        gaps=gaps,
        faults_of_test=sum(line.disturbed for line in lines),
        by_hand=by_hand,
        rig_acts=rig is not None and rig.has_acted,
        power_off=rig is not None and rig.power_is_off,
    )
    answers_now, damaged_now = None, None
    if ask:
        for line in lines:
            line.clear()
        answers_now = _answers(programmers)
        damaged_now = damaged_at_pump(programmers) if answers_now else None
    boots = [count for programmer in programmers for count in programmer.session.boot_counts]
    return seen._replace(
        answers_now=answers_now,
        damaged_at_pump=damaged_since(damaged_before, damaged_now),
        starts=max(boots) - min(boots) if boots else 0,
    )


def _answers(programmers: Sequence[Programmer]) -> bool | None:
    """Whether the pump answers now; None where no programmer ever had a session: a stranger would only disturb."""
    for programmer in [each for each in programmers if each.session.opened is not None][:1]:
        try:
            programmer.requester.request(Ping(), Deadline.after(LIMIT_MS, programmer.session.now_ms()))
        except PumpbenchError:
            return False
        return True
    return None


def commands_sent(programmers: Iterable[Programmer]) -> list[str]:
    """Names of the commands with an id that were sent: a repetition would be carried out a second time."""
    opcodes = {opcode for programmer in programmers for opcode in programmer.session.asked}
    rows = [command_at(opcode) for opcode in sorted(opcodes)]
    return [row.name for row in rows if row is not None and row.carries_cmd_id]
