"""A program hears of changes between its questions; what it has read the status of it hears no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.identifiers import AlarmClass, EventFlag

if TYPE_CHECKING:
    from hil.bench_of_test import TestBench


def test_hints_that_come_beside_answers_wait_until_they_are_asked_for(bench: TestBench) -> None:
    pump = bench.open_programmer()
    pump.subscribe(EventFlag.ALARM | EventFlag.LOG)
    pump.stop(60)
    pump.info()  # the hint comes before this answer
    hint = pump.next_hint()
    assert hint is not None
    assert hint.mask == EventFlag.LOG
    assert pump.next_hint() is None


def test_the_status_makes_hints_that_came_before_it_needless(bench: TestBench) -> None:
    pump = bench.open_programmer()
    pump.subscribe()
    pump.stop(60)
    pump.status()
    assert pump.next_hint(2_000) is None


def test_waiting_for_a_hint_ends_when_it_comes_or_when_its_time_is_over(bench: TestBench) -> None:
    pump = bench.open_programmer()
    assert pump.next_hint(500) is None
    pump.subscribe(EventFlag.ALARM)
    pump.stop(60)
    began_ms = pump.session.now_ms()
    hint = pump.next_hint(100_000)
    assert hint is not None
    assert hint.mask == EventFlag.ALARM
    assert pump.session.now_ms() - began_ms == 60_000


def test_the_frames_of_hints_and_tests_are_words_in_the_report(bench: TestBench) -> None:
    pump = bench.open_programmer()
    pump.subscribe()
    pump.test_alarm(AlarmClass.CRITICAL)
    pump.next_hint(2_000)
    text = pump.wire_log.text(10)
    assert "EVENT_HINT" in text
    assert "mask=ALARM+LOG" in text
