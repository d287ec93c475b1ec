"""A balance that speaks MT-SICS: what it shows, what it complains of, and what is said of one that is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.errors import BadConfiguration, BenchLost
from hil.instruments.emulated_balance import CAPACITY_UG, EmulatedBalance
from hil.instruments.mt_sics import COMPLAINTS, MtSicsBalance
from hil.targets.choices import PumpChoice
from hil.targets.emulated import EmulatedTarget

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT_MS = 5_000
HOUR_MS = 3_600_000


class BalanceLine:
    """A line in virtual time to what answers `feed`."""

    def __init__(self, feed: Callable[[bytes], bytes], waiting: bytes = b"") -> None:
        self._feed = feed
        self._waiting = waiting
        self._now_ms = 0
        self.sent_bytes = 0
        self.closed = 0

    def send(self, data: bytes) -> None:
        self.sent_bytes += len(data)
        self._waiting += self._feed(data)

    def receive(self, deadline_ms: int) -> bytes:
        if not self._waiting:
            self._now_ms = max(self._now_ms, deadline_ms)
        size = 3 if len(self._waiting) < 1_000 else len(self._waiting)
        part, self._waiting = self._waiting[:size], self._waiting[size:]
        return part

    def now_ms(self) -> int:
        return self._now_ms

    def device_ms(self) -> int | None:
        return None

    def close(self) -> None:
        self.closed += 1


def on(line: BalanceLine, resolution_ug: int = 100) -> MtSicsBalance:
    return MtSicsBalance(lambda: line, "/dev/balance", resolution_ug=resolution_ug, limit_ms=LIMIT_MS)


def answering(answer: bytes) -> MtSicsBalance:
    return on(BalanceLine(lambda _command: answer))


@pytest.mark.parametrize(
    ("mass_ug", "shown_ug"),
    [
        (0, 0),
        (49, 0),
        (50, 100),
        (149, 100),
        (150, 200),
        (-149, -100),
        (-1_999_951, -2_000_000),
        (123_456_789, 123_456_800),
    ],
)
def test_a_mass_is_shown_in_whole_steps(mass_ug: int, shown_ug: int) -> None:
    balance = on(BalanceLine(EmulatedBalance(lambda: mass_ug).feed))
    weighing = balance.weigh()
    assert (weighing.mass_ug, weighing.resolution_ug, weighing.stable) == (shown_ug, 100, True)
    assert balance.exactness == "0.1 mg"


def test_a_balance_weighs_what_the_emulated_pump_really_delivered() -> None:
    target = EmulatedTarget(PumpChoice())
    target.start()
    balance = on(BalanceLine(EmulatedBalance(lambda: target.rig.weigh().mass_ug).feed))
    balance.tare()
    target.rig.advance(24 * HOUR_MS)
    emitted_nl = target.rig.state().truth["emitted_nl_ppm"] // 1_000_000
    assert emitted_nl > 500_000
    assert abs(balance.weigh().mass_ug - emitted_nl) <= 50


def test_tare_and_zero_begin_anew_and_a_moving_mass_is_shown_as_such() -> None:
    mass_ug, still = [5_000_000], [True]
    balance = on(BalanceLine(EmulatedBalance(lambda: mass_ug[0], is_still=lambda: still[0]).feed))
    assert balance.tare().mass_ug == 5_000_000
    mass_ug[0] += 700
    assert balance.weigh().mass_ug == 700
    balance.zero()
    assert balance.weigh().mass_ug == 0
    still[0] = False
    assert not balance.weigh_now().stable
    for ask in (balance.weigh, balance.tare, balance.zero):
        with pytest.raises(BenchLost, match="would not settle"):
            ask()


@pytest.mark.parametrize(("mass_ug", "said"), [(CAPACITY_UG + 1, "overloaded"), (-2_000_001, "underloaded")])
def test_a_pan_that_bears_too_much_or_too_little_is_one_sentence(mass_ug: int, said: str) -> None:
    balance = on(BalanceLine(EmulatedBalance(lambda: mass_ug).feed))
    for ask in (balance.weigh, balance.weigh_now, balance.tare):
        with pytest.raises(BenchLost, match=said) as caught:
            ask()
        assert "\n" not in caught.value.one_line()


@pytest.mark.parametrize("end", COMPLAINTS)
def test_each_complaint_says_what_a_person_does_about_it(end: str) -> None:
    with pytest.raises(BenchLost) as caught:
        answering(f"{end}\r\n".encode() if len(end) == 2 else f"S {end}\r\n".encode()).weigh()
    assert COMPLAINTS[end].meaning in str(caught.value)
    assert COMPLAINTS[end].advice in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (b"", BenchLost, "has not answered S within 5000 ms"),
        (b"S S  1.0", BenchLost, "has not answered S within 5000 ms"),
        (b"\xff" * 300, BenchLost, "sends noise"),
        (b"hello\r\n", BenchLost, "answers S with 'hello'"),
        (b"T S 0.0001 g\r\n", BenchLost, "answers S with 'T S 0.0001 g'"),
        (b"S S 1.0000 lb\r\n", BadConfiguration, "weighs in 'lb'"),
        (b"S S 1.00 g\r\n", BadConfiguration, "shows steps of 10000 ug, .* resolution_ug = 100"),
    ],
)
def test_a_line_without_a_fit_balance_behind_it_is_one_sentence(
    answer: bytes, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        answering(answer).weigh()


def test_an_answer_that_nobody_waits_for_any_more_is_no_answer_to_the_next_question() -> None:
    line = BalanceLine(EmulatedBalance(lambda: 500).feed, waiting=b"S S   9.0000 g\r\n")
    assert on(line).weigh().mass_ug == 500


def test_a_balance_says_its_serial_number_and_gives_its_line_back() -> None:
    line = BalanceLine(EmulatedBalance(lambda: 0, serial_number="B42").feed)
    balance = on(line)
    assert balance.serial_number() == "B42"
    balance.close()
    balance.close()
    assert line.closed == 1
