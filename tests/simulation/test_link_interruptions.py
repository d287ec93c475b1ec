"""A bolus, and something that comes between: the programmer dies, another one acts, power goes, a stop arrives.

Each of them at every place of the exchange where it can, and combined with faults on the line.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from hil.errors import CommandRefused, DeviceRefused, NotExecuted, OutcomeUnknown, PumpbenchError
from hil.noise import Direction
from hil.programmer.command_ledger import Executed
from protocol.identifiers import ErrorCode, Outcome, Role, State
from protocol.link.development_keys import development_key
from protocol.log.types import LogName, LogType
from protocol.messages.program import ProgBegin
from tests.simulation.link_checkers import check_everything, settle
from tests.simulation.operators import Killed, Operator
from tests.simulation.scenario import SECOND_CLINICIAN, Violation, World
from tests.support.soak import part_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

VOLUME_NL = 2_000
BOLUS_MS = 10_000
PLACES = range(1, 21)  # sends and waits from the first HELLO to the answer of COMMIT
WRITES = range(1, 13)
TORN_BYTES = (0, 37)


def _tell(story: str, operator: Operator, error: AssertionError) -> AssertionError:
    return AssertionError(f"{story}: {error}\n{operator.wire_log.text(30)}")


def _connect_and_give(operator: Operator) -> object:
    operator.tries(lambda programmer: programmer.connect())
    return operator.gives_bolus(VOLUME_NL)


def _places_of_a_bolus() -> int:
    operator = Operator(World())
    _connect_and_give(operator)
    return int(operator.end.operations)


def test_the_places_are_all_there_are() -> None:
    assert max(PLACES) >= _places_of_a_bolus() >= max(PLACES) - 4


# The programmer dies


def _die_at(place: int) -> Callable[[int], None]:
    def on_operation(number: int) -> None:
        if number >= place:
            raise Killed

    return on_operation


@pytest.mark.parametrize("lost", [None, *Direction], ids=lambda way: "clean" if way is None else way.value)
def test_a_programmer_killed_at_any_place_resolves_its_bolus_when_it_starts_again(
    lost: Direction | None, tmp_path: Path
) -> None:
    for place in part_of(f"killed, {lost}", PLACES, one_in=3):
        world = World(seed=place)
        operator = Operator(world, state_file=tmp_path / f"{place}.json")
        if lost is not None:
            operator.line.drop(lost, skip=place // 3)
        operator.end.on_operation = _die_at(place)
        with suppress(Killed):
            _connect_and_give(operator)
        operator.replace_programmer()
        try:
            resolved = operator.tries(lambda programmer: programmer.connect())
            if isinstance(resolved, PumpbenchError):
                raise Violation(f"the next programmer cannot tell: {resolved}")
            if operator.programmer.ledger.unknown():
                raise Violation(f"still unknown: {operator.programmer.ledger.unknown()}")
            world.advance(BOLUS_MS)
            operator.gives_bolus(VOLUME_NL)
            check_everything(world, [operator])
        except AssertionError as error:
            raise _tell(f"killed at place {place}", operator, error) from error
        operator.store.close()


def test_killed_in_mid_bolus_the_next_programmer_sees_it_run_and_end(tmp_path: Path) -> None:
    world = World()
    operator = Operator(world, state_file=tmp_path / "state.json")
    given = _connect_and_give(operator)
    assert isinstance(given, Executed)
    world.advance(BOLUS_MS // 2)
    operator.replace_programmer()
    operator.programmer.connect()
    assert [filed.outcome for filed in operator.filed()] == ["RUNNING"]
    assert operator.programmer.query(given.cmd_id).delivered_nl == VOLUME_NL // 2
    world.advance(BOLUS_MS)
    operator.replace_programmer()
    operator.programmer.connect()
    assert [(filed.outcome, filed.delivered_nl) for filed in operator.filed()] == [("DONE", VOLUME_NL)]
    check_everything(world, [operator])
    operator.store.close()


# Two programmers on two keys


def _others_bolus(operator: Operator) -> object:
    return operator.gives_bolus(VOLUME_NL)


def _others_stop(operator: Operator) -> object:
    return operator.tries(lambda programmer: programmer.stop())


def _others_program(operator: Operator) -> object:
    return operator.tries(lambda programmer: programmer.set_simple_program(310_000))


INTRUDERS = {
    "a clinician's bolus": (SECOND_CLINICIAN, _others_bolus),
    "a clinician's program": (SECOND_CLINICIAN, _others_program),
    "a clinician's stop": (SECOND_CLINICIAN, _others_stop),
    "the patient's stop": (development_key(Role.PATIENT), _others_stop),
}


# FI 53
@pytest.mark.parametrize("intruder", INTRUDERS)
def test_another_programmer_at_any_place_leaves_both_knowing_the_truth(intruder: str) -> None:
    key, act = INTRUDERS[intruder]
    intruded: list[int] = []
    for place in part_of(intruder, PLACES, one_in=3):
        world = World(seed=place)
        operator, other = Operator(world, seed=place), Operator(world, key=key, seed=place)

        def intrude(
            number: int, place: int = place, operator: Operator = operator, other: Operator = other
        ) -> None:
            if number == place:
                operator.end.on_operation = None
                intruded.append(place)
                act(other)

        operator.end.on_operation = intrude
        try:
            _connect_and_give(operator)
            check_everything(world, [operator, other])
        except AssertionError as error:
            raise _tell(f"{intruder} at place {place}", operator, error) from error
    assert len(intruded) >= len(PLACES) // 4, "most places are reached"


def test_the_same_key_in_two_places_makes_no_liar_of_either() -> None:
    """Both count their own ids, so that they collide; content tells whose command an outcome belongs to."""
    for place in PLACES:
        for lost in (None, *Direction):
            world = World(seed=place)
            operator, other = Operator(world, seed=place), Operator(world, seed=place + 100)
            if lost is not None:
                operator.line.drop(lost, 3, skip=max(place - 4, 0) // 2)

            def intrude(
                number: int, place: int = place, operator: Operator = operator, other: Operator = other
            ) -> None:
                if number == place:
                    operator.end.on_operation = None
                    other.gives_bolus(VOLUME_NL)

            operator.end.on_operation = intrude
            _connect_and_give(operator)
            for one in (operator, other):
                one.line.clear()
                one.end.on_operation = None
            world.advance(2 * BOLUS_MS)
            for one in (operator, other):
                one.replace_programmer()
                one.programmer.connect()
                one.note_words()
                _check_against_rotor(one)


def _check_against_rotor(operator: Operator) -> None:
    """What the state file says of each bolus is what the rotor did for it; a "no" is the world's to check."""
    for filed in operator.filed():
        attempt = operator.attempt_of(filed.cmd_id)
        assert filed.final, filed
        if attempt is not None and not attempt.denied:
            assert filed.delivered_nl == operator.world.true_nl(attempt), filed


# Attack 5.7


# FI 53
def test_of_two_programs_on_the_same_revision_the_second_is_refused() -> None:
    world = World()
    first, second = Operator(world), Operator(world, key=SECOND_CLINICIAN)
    first.programmer.connect()
    rev = first.programmer.status().program_rev
    staged = first.programmer.stage_simple_program(310_000)
    world.advance(11_000)
    second.programmer.connect()
    done = second.programmer.set_simple_program(320_000)
    second.programmer.close()
    refused = first.tries(lambda programmer: programmer.commit_program(staged))
    assert isinstance(refused, CommandRefused | NotExecuted)
    late = first.tries(lambda programmer: programmer.request(ProgBegin(rev, staged.header)))
    assert isinstance(late, DeviceRefused)
    assert late.code == ErrorCode.REV_MISMATCH
    assert done.reply.program_rev == first.programmer.status().program_rev == rev + 1
    # attack 5.9: what the first had staged is gone, and the log says so
    history = first.programmer.read_log(LogName.MAIN)
    assert LogType.STAGE_LOST in {entry.type for entry in history.entries}
    check_everything(world, [first, second])


# Power goes


@pytest.mark.parametrize("torn", TORN_BYTES)
@pytest.mark.parametrize("harm", ["clean", "lost answer", "ten copies", "late copy"])
def test_power_cut_in_any_write_of_a_bolus_over_a_bad_line(harm: str, torn: int) -> None:
    for write in part_of(f"{harm}, {torn}", WRITES, one_in=3):
        world = World(seed=write)
        operator = Operator(world, seed=write)
        operator.programmer.connect()
        match harm:
            case "lost answer":
                operator.line.drop(Direction.FROM_PUMP, 2, skip=3)
            case "ten copies":
                operator.line.duplicate(Direction.TO_PUMP, 8, copies=9)
            case "late copy":
                operator.line.delay(Direction.TO_PUMP, 5_000, 2, skip=4)
        world.pump.plant.cut_at_write(write, torn)
        try:
            operator.gives_bolus(VOLUME_NL)
            world.advance(BOLUS_MS)
            check_everything(world, [operator])
        except AssertionError as error:
            raise _tell(f"{harm}, power cut in write {write} after {torn} bytes", operator, error) from error


def test_power_cut_at_each_stroke_is_told_to_within_a_stroke() -> None:
    for stroke in range(1, 5):
        world = World(seed=stroke)
        operator = Operator(world, seed=stroke)
        operator.programmer.connect()
        world.pump.plant.cut_at_stroke(stroke)
        operator.gives_bolus(VOLUME_NL)
        world.advance(BOLUS_MS)
        settle(world, [operator])
        (filed,) = operator.filed()
        true_nl = world.true_nl(world.attempts[0])
        assert true_nl == (stroke - 1) * world.rotor.stroke_nl
        assert filed.delivered_nl <= true_nl <= filed.delivered_nl + filed.uncertain_nl
        assert filed.outcome in {"PARTIAL", "NOT_STARTED"}


# A stop in the middle; attacks 5.3 and 5.12


@pytest.mark.parametrize("lost", [None, *Direction], ids=lambda way: "clean" if way is None else way.value)
@pytest.mark.parametrize("stopper", [Role.CLINICIAN, Role.PATIENT], ids=lambda role: role.name)
def test_a_stop_at_any_stroke_ends_the_bolus_once_and_the_amounts_agree(
    stopper: Role, lost: Direction | None
) -> None:
    for at_ms in (0, 1, 2_499, 2_500, 2_501, 7_500, 9_999, 10_000, 10_001):
        world = World(seed=at_ms)
        operator = Operator(world)
        other = operator if stopper is Role.CLINICIAN else Operator(world, key=development_key(stopper))
        _connect_and_give(operator)
        start_ms = world.now_ms
        world.advance(at_ms)
        if lost is not None:
            other.line.drop(lost, 3, skip=0 if other is operator else 2)
        stopped = other.tries(lambda programmer: programmer.stop())
        assert not isinstance(stopped, OutcomeUnknown | DeviceRefused), stopped
        assert other.programmer.status().state is State.STOP
        true_nl = world.true_nl(world.attempts[0])
        world.advance(2 * BOLUS_MS)
        assert world.true_nl(world.attempts[0]) == true_nl
        if lost is None and other is operator:
            assert (
                true_nl == min((world.now_ms - 2 * BOLUS_MS - start_ms) // 2_500, 4) * world.rotor.stroke_nl
            )
        facts = settle(world, [operator] if other is operator else [operator, other])
        assert len(facts.ends) == 1


def test_a_cancel_that_races_with_the_end_gives_one_end_and_one_amount() -> None:
    for at_ms in (9_998, 9_999, 10_000, 10_001):
        world = World()
        operator = Operator(world)
        given = _connect_and_give(operator)
        assert isinstance(given, Executed)
        world.advance(at_ms)
        cancelled = operator.programmer.cancel_bolus(given.cmd_id)
        outcome = Outcome.DONE if at_ms >= BOLUS_MS else Outcome.PARTIAL
        assert cancelled.reply.target_outcome is outcome
        assert cancelled.reply.delivered_nl == world.true_nl(world.attempts[0])
        facts = settle(world, [operator])
        assert [end.delivered_nl for end in facts.ends.values()] == [cancelled.reply.delivered_nl]


# The end of a session gets lost


@pytest.mark.parametrize("way", Direction, ids=lambda way: way.value)
def test_a_lost_end_of_a_session_keeps_the_next_programmer_out_for_ten_seconds_at_most(
    way: Direction,
) -> None:
    world = World()
    operator, other = Operator(world), Operator(world, key=SECOND_CLINICIAN)
    _connect_and_give(operator)
    operator.line.drop(way, 3)
    began_ms = world.now_ms
    operator.programmer.close()
    assert world.now_ms - began_ms < 5_000
    other.programmer.connect()
    assert world.now_ms - began_ms < 11_000  # ten seconds, and whole seconds of waiting
    other.programmer.close()
    check_everything(world, [operator, other])
