"""Lost, doubled, late and reordered frames: a command happens once or not at all, and the programmer knows [SPEC 5, 9].

In none of these may the programmer say "failed" of what was done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.errors import CommandRefused, NotExecuted, OutcomeUnknown
from hil.noise import Direction, FaultyLine
from hil.plugin import needs, verifies
from protocol.identifiers import Opcode, Outcome, State

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.programmer.programmer import Programmer
    from hil.rig import Rig

VOLUME_NL, DURATION_S = 20_000, 90
PATIENCE_MS = 5_000  # more than one round of the link's time-outs of 4.2 s
TO_PUMP, FROM_PUMP = Direction.TO_PUMP, Direction.FROM_PUMP

FAULTS: dict[str, Callable[[FaultyLine], object]] = {
    "the request is lost": lambda line: line.drop(TO_PUMP),
    "the answer is lost": lambda line: line.drop(FROM_PUMP),
    "the answer is lost twice": lambda line: line.drop(FROM_PUMP, 2),
    "the request comes ten times": lambda line: line.duplicate(TO_PUMP, copies=9),
    "the answer comes twice": lambda line: line.duplicate(FROM_PUMP, copies=1),
    "the request is damaged": lambda line: line.flip(TO_PUMP, 100),
    "the answer is damaged": lambda line: line.flip(FROM_PUMP, 100),
    "the request is late": lambda line: line.delay(TO_PUMP, 700),
    "the answer is late": lambda line: line.delay(FROM_PUMP, 700),
    "the line is dead for a whole round": lambda line: line.drop(TO_PUMP, 3),
    "no answer comes for a whole round": lambda line: line.drop(FROM_PUMP, 3),
}


# FI 47
@verifies("LNK-006", "BOL-011")
@needs("time", "reset")
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_bolus_over_a_bad_line_is_delivered_once_or_not_at_all_and_the_programmer_knows(
    running: Programmer, pump_rig: Rig, pump_line: FaultyLine, fault: Callable[[FaultyLine], object]
) -> None:
    before_nl = running.delivery().bolus_nl
    prepared = running.prepare_bolus(VOLUME_NL, DURATION_S)
    running.query(1)  # what a programmer reads once a session is read: the next frame is the COMMIT
    fault(pump_line)
    try:
        outcome = running.commit_bolus(prepared).outcome
    except NotExecuted as lost:
        outcome = lost.outcome
    pump_rig.advance(2 * DURATION_S * 1_000)
    delivered_nl = running.delivery().bolus_nl - before_nl
    assert delivered_nl == (0 if outcome in (Outcome.VOIDED, Outcome.NEVER_RECEIVED) else VOLUME_NL)
    assert outcome in (Outcome.RUNNING, Outcome.DONE, Outcome.VOIDED, Outcome.NEVER_RECEIVED)


@verifies("LNK-006", "STP-003")
@needs("time", "reset")
def test_a_stop_over_a_bad_line_has_stopped_the_pump(running: Programmer, pump_line: FaultyLine) -> None:
    for name in ("the request is lost", "the answer is lost", "the request comes ten times"):
        running.query(1)
        FAULTS[name](pump_line)
        stopped = running.stop(3_600)
        assert stopped.outcome is Outcome.DONE
        assert running.status().state is State.STOP
        running.resume()


@verifies("LNK-006")
@needs("time", "reset")
def test_a_commit_that_was_held_back_is_dead_when_it_arrives_at_last(
    running: Programmer, pump_rig: Rig, pump_line: FaultyLine
) -> None:
    before_nl = running.delivery().bolus_nl
    prepared = running.prepare_bolus(VOLUME_NL, DURATION_S)
    running.query(1)
    pump_line.hold(TO_PUMP, 3)
    with pytest.raises(NotExecuted) as lost:
        running.commit_bolus(prepared)
    assert pump_line.release(TO_PUMP) == 3
    pump_rig.advance(2 * DURATION_S * 1_000)
    assert running.query(lost.value.cmd_id).outcome is Outcome.VOIDED
    assert running.delivery().bolus_nl == before_nl


@verifies("LNK-006")
@needs("time", "reset")
def test_while_nobody_answers_the_outcome_is_unknown_and_never_called_failed(
    open_programmer: Callable[..., Programmer], pump_rig: Rig, pump_line: FaultyLine
) -> None:
    running = open_programmer(patience_ms=PATIENCE_MS)
    before_nl = running.delivery().bolus_nl
    prepared = running.prepare_bolus(VOLUME_NL, DURATION_S)
    running.query(1)
    dead = pump_line.drop(FROM_PUMP, 10_000)
    with pytest.raises(OutcomeUnknown) as doubt:
        running.commit_bolus(prepared)
    assert not isinstance(doubt.value, CommandRefused)
    dead.count = dead.fired
    pump_rig.advance(2 * DURATION_S * 1_000)
    (settled,) = running.ledger.resolve()
    assert (settled.opcode, settled.outcome, settled.delivered_nl) == (
        Opcode.BOLUS_COMMIT,
        Outcome.DONE.name,
        VOLUME_NL,
    )
    assert running.delivery().bolus_nl - before_nl == VOLUME_NL


@verifies("LNK-006")
@needs("time", "reset")
def test_a_late_answer_is_not_taken_for_the_answer_to_the_next_request(
    running: Programmer, pump_line: FaultyLine
) -> None:
    running.ping()
    pump_line.delay(FROM_PUMP, 650)
    before = running.status()
    again = running.status()
    time = running.time()
    assert (before.last_seq, before.state) == (again.last_seq, again.state)
    assert time.boot_count == 1
