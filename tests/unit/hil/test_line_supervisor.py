"""A line that is lost and found again: nothing is sent twice, nothing is guessed, and waiting ends."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from hil.channel import Channel
from hil.errors import (
    BadConfiguration,
    BenchLost,
    CommandRefused,
    InUse,
    LeaseLost,
    LineGap,
    NotExecuted,
    OutcomeUnknown,
    PumpbenchError,
    UsageError,
    loss_behind,
)
from hil.programmer.entropy import SeededEntropy
from hil.programmer.expected_pump import ExpectedPump
from hil.programmer.programmer import Programmer
from hil.targets.choices import PumpChoice
from hil.targets.emulated import EmulatedTarget
from hil.targets.supervisor import RETRY_MS, RETURNS_MAX, LineSupervisor
from protocol.capture.recording import Way

if TYPE_CHECKING:
    from collections.abc import Iterator

VOLUME_NL = 20_000
FOUND_WITHIN_MS = 30_000
NEVER = 1_000_000
UNPLUGGED = "there is no port at ./pump"


class Cable:
    """A cable to virtual pumps: it breaks after so many bytes one way, and is there again at a later look."""

    def __init__(self, target: EmulatedTarget) -> None:
        self.target = target
        self.breaks_after: tuple[Way, int] | None = None
        self.missed_looks = 2
        """How often it is looked for in vain, once it is broken."""
        self.why: PumpbenchError = BadConfiguration(UNPLUGGED)
        """Why it cannot be opened meanwhile."""
        self.broken_by: PumpbenchError = BenchLost("./pump hung up (Input/output error)")
        self.said: list[str] = []
        self.is_broken = False
        self._looks_left = 0
        self.supervisor = LineSupervisor(
            "pty:./pump",
            self.open,
            told=self.said.append,
            found_within_ms=FOUND_WITHIN_MS,
            now_ms=lambda: self.target.bench.now_ms,
            pause=self._pass_time,
        )

    def open(self) -> Channel:
        if self._looks_left:
            self._looks_left -= 1
            raise self.why
        return BreakingChannel(self, self.target.open_channel())

    def breaks(self, way: Way, count: int) -> int:
        """How many of the next bytes still get through; the cable is broken where that is less."""
        if self.breaks_after is None or self.breaks_after[0] is not way:
            return count
        left = self.breaks_after[1]
        if count <= left:
            self.breaks_after = (way, left - count)
            return count
        self.unplug()
        return left

    def unplug(self) -> None:
        self.breaks_after = None
        self._looks_left = self.missed_looks
        self.is_broken = True

    def _pass_time(self, duration_ms: int) -> None:
        self.target.bench.advance(duration_ms)  # what the pump says meanwhile goes nowhere


class BreakingChannel(Channel):
    def __init__(self, cable: Cable, inner: Channel) -> None:
        cable.is_broken = False
        self._cable = cable
        self._inner = inner
        self._sent_bytes = 0

    @property
    def sent_bytes(self) -> int:
        return self._sent_bytes

    def send(self, data: bytes) -> None:
        self._check()
        arrives = self._cable.breaks(Way.TO_PUMP, len(data))
        self._inner.send(data[:arrives])
        self._sent_bytes += arrives
        self._check()

    def receive(self, deadline_ms: int) -> bytes:
        self._check()
        data = self._inner.receive(deadline_ms)
        arrives = self._cable.breaks(Way.FROM_PUMP, len(data))
        if data and not arrives:
            self._check()
        return data[:arrives]

    def now_ms(self) -> int:
        return self._inner.now_ms()

    def device_ms(self) -> int | None:
        return self._inner.device_ms()

    def close(self) -> None:
        self._inner.close()

    def _check(self) -> None:
        if self._cable.is_broken:
            raise self._cable.broken_by


@pytest.fixture
def cable() -> Iterator[Cable]:
    target = EmulatedTarget(PumpChoice("implanted", 1))
    target.start()
    yield Cable(target)
    target.close()


def programmer_on(cable: Cable) -> Programmer:
    pump = Programmer(
        cable.supervisor.open(), entropy=SeededEntropy("1"), expected_pump=ExpectedPump("pty:./pump")
    )
    pump.connect()
    pump.ledger.unknown()  # what the ledger needs to know of the pump is known
    return pump


def started(pump: Programmer) -> int:
    return sum(entry.type.name == "BOLUS_START" for entry in pump.read_log().entries)


@pytest.mark.parametrize("way", Way, ids=lambda way: way.words)
def test_a_bolus_over_a_line_that_breaks_at_any_byte_is_given_once_or_never_and_known(
    cable: Cable, way: Way
) -> None:
    outcomes = set()
    pump = programmer_on(cable)
    pump.close()
    at_first = cable.target.snapshot()
    for count in range(0, 200, 9):
        cable.target.restore(at_first)
        pump = programmer_on(cable)
        gaps = len(cable.supervisor.gaps)
        cable.breaks_after = (way, count)
        try:
            expected = int(pump.bolus(VOLUME_NL, 600).outcome.name in {"RUNNING", "DONE"})
        except (NotExecuted, CommandRefused):
            expected = 0
        outcomes.add(expected)
        assert len(cable.supervisor.gaps) == gaps + (cable.breaks_after is None), count
        cable.breaks_after = None
        assert not pump.ledger.unknown(), count
        assert started(pump) == expected, count
    assert outcomes == (
        {0, 1} if way is Way.TO_PUMP else {1}
    )  # a lost answer never means that nothing was done


def test_a_question_that_meets_a_gap_is_answered_after_it_however_long_it_lasts(cable: Cable) -> None:
    pump = programmer_on(cable)
    cable.missed_looks = 200  # 20 s: more than a question may take on a line that is there
    cable.unplug()
    before_ms = pump.session.now_ms()
    assert pump.status().reservoir_calc_nl > 0
    assert pump.session.now_ms() - before_ms < 5_000
    (gap,) = cable.supervisor.gaps
    assert gap.lasted_ms >= 200 * RETRY_MS
    assert not gap.expected
    assert cable.said == ["the line is lost", f"the line is back: unexpected, {gap.lasted_ms} ms"]


def test_a_line_that_does_not_come_back_is_one_sentence_with_the_state_of_its_port_and_at_once_from_then_on(
    cable: Cable,
) -> None:
    pump = programmer_on(cable)
    cable.missed_looks = NEVER
    cable.unplug()
    with pytest.raises(BenchLost) as lost:
        pump.status()
    assert lost.value.message == f"pty:./pump was lost and did not come back within 30 s: {UNPLUGGED}"
    assert lost.value.exit_code == 7
    before_ms = cable.target.bench.now_ms
    for again in (cable.supervisor.open, pump.status):
        with pytest.raises(BenchLost):
            again()
    assert cable.target.bench.now_ms == before_ms


def test_a_bolus_whose_line_does_not_come_back_is_not_known_and_the_bench_is_lost(cable: Cable) -> None:
    pump = programmer_on(cable)
    prepared = pump.prepare_bolus(VOLUME_NL, 600)
    cable.missed_looks = NEVER
    cable.breaks_after = (Way.FROM_PUMP, 0)
    with pytest.raises(OutcomeUnknown, match="it may have been carried out") as unknown:
        pump.commit_bolus(prepared)
    assert isinstance(loss_behind(unknown.value), BenchLost)


def test_another_board_that_comes_back_is_asked_who_it_is_and_nothing_else(cable: Cable) -> None:
    pump = programmer_on(cable)
    mine, other = cable.target, EmulatedTarget(PumpChoice("implanted", 1, model={"serial": "OTHER-1"}))
    other.start()
    other.bench.advance(mine.bench.now_ms)
    prepared = pump.prepare_bolus(VOLUME_NL, 600)
    cable.breaks_after = (Way.FROM_PUMP, 0)
    cable.target = other
    with pytest.raises(OutcomeUnknown) as unknown:
        pump.commit_bolus(prepared)
    assert "another pump answers at pty:./pump: serial OTHER-1" in str(loss_behind(unknown.value))
    with pytest.raises(BenchLost, match="another pump answers"):
        pump.status()
    cable.target = mine
    cable.unplug()
    assert started(pump) == 1
    (found,) = pump.ledger.resolve()
    assert found.confirmed
    other.close()


def test_a_board_that_is_reset_by_each_question_is_given_up(cable: Cable) -> None:
    pump = programmer_on(cable)
    cable.missed_looks = 0
    for _ in range(RETURNS_MAX):
        cable.unplug()
        pump.status()
    cable.unplug()
    with pytest.raises(BenchLost, match=f"had come back {RETURNS_MAX} times already"):
        pump.status()


@pytest.mark.parametrize(
    ("broken_by", "message"),
    [
        (InUse("somebody else has the line"), "somebody else has the line"),
        (LeaseLost("the board was taken away"), "the board was taken away"),
    ],
    ids=["taken", "lease lost"],
)
def test_what_waiting_does_not_cure_is_said_at_once(
    cable: Cable, broken_by: PumpbenchError, message: str
) -> None:
    channel = cable.supervisor.open()
    cable.broken_by = broken_by
    cable.unplug()
    with pytest.raises(type(broken_by), match=message):
        channel.receive(channel.now_ms())
    assert not cable.said


def test_a_lease_that_is_lost_while_the_line_is_waited_for_ends_the_waiting(cable: Cable) -> None:
    channel = cable.supervisor.open()
    cable.why = LeaseLost("the board was taken away")
    cable.unplug()
    with pytest.raises(LeaseLost):
        channel.receive(channel.now_ms())


def test_another_program_that_looks_at_a_new_port_for_a_moment_is_waited_for(cable: Cable) -> None:
    channel = cable.supervisor.open()
    cable.why = InUse("the port ./pump is in use by another program")
    cable.unplug()
    with pytest.raises(LineGap, match=r"was lost for 300 ms \(./pump hung up"):
        channel.receive(channel.now_ms())
    assert channel.receive(channel.now_ms()) == b""


def test_a_line_that_was_never_there_is_not_waited_for(cable: Cable) -> None:
    cable.unplug()
    with pytest.raises(BadConfiguration, match=UNPLUGGED):
        cable.supervisor.open()
    assert cable.target.bench.now_ms == 0


def test_a_line_that_goes_away_between_two_tests_is_waited_for(cable: Cable) -> None:
    programmer_on(cable).close()
    cable.unplug()
    assert programmer_on(cable).status().reservoir_calc_nl > 0
    assert len(cable.supervisor.gaps) == 1


def test_a_closed_channel_stays_closed(cable: Cable) -> None:
    channel = cable.supervisor.open()
    newer = cable.supervisor.open()
    with pytest.raises(BenchLost, match="was closed"):
        channel.send(b"\0")
    newer.send(b"\0")
    assert newer.sent_bytes == 1


def test_in_a_gap_that_is_expected_a_line_is_silent_and_its_time_goes_on(cable: Cable) -> None:
    channel = cable.supervisor.open()
    channel.send(b"\0\0")
    with cable.supervisor.expecting_gap():
        cable.unplug()
        cable.missed_looks = 40
        cable.unplug()
        before_ms = channel.now_ms()
        assert channel.receive(before_ms + 1_000) == b""
        assert channel.now_ms() == before_ms + 1_000
        channel.send(b"into the air")
        assert channel.sent_bytes == 2
    channel.send(b"\0")
    assert channel.sent_bytes == 3
    (gap,) = cable.supervisor.gaps
    assert gap.expected
    assert gap.lasted_ms > 1_000


def test_a_gap_that_is_expected_and_does_not_come_proves_nothing(cable: Cable) -> None:
    cable.supervisor.open()
    with pytest.raises(UsageError, match="did not go away"), cable.supervisor.expecting_gap():
        pass
    with cable.supervisor.expecting_gap(required=False):
        pass


def test_a_gap_that_is_expected_and_does_not_end_loses_the_bench(cable: Cable) -> None:
    channel = cable.supervisor.open()
    cable.missed_looks = NEVER
    with ExitStack() as expecting:
        expecting.enter_context(cable.supervisor.expecting_gap())
        cable.unplug()
        channel.send(b"\0")
        with pytest.raises(BenchLost, match="did not come back"):
            expecting.close()
