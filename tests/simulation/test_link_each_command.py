"""One fault on the line in each place of each command's exchange: lost, doubled, late, out of order, damaged.

Each frame of the exchange is hit in its turn, in each direction, with the pump and the programmer that people
use; then the line is clean again, and everybody must know what happened, once and for all.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import pytest

from firmware_emu.controller.commands.table import HANDLERS
from hil.errors import CommandRefused, LinkError, NotExecuted, OutcomeUnknown, PumpbenchError
from hil.noise import Direction
from protocol.identifiers import ErrorCode, Opcode
from protocol.link.development_keys import development_key
from protocol.registry import COMMANDS
from tests.simulation.link_checkers import check_everything
from tests.simulation.link_commands import COMMIT_IS_FRAME, SCRIPTS
from tests.simulation.operators import Operator
from tests.simulation.scenario import Violation, World
from tests.support.soak import part_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.noise import Fault, FaultyLine

PAST_ONE_TIMEOUT_MS = 700
PAST_ALL_TIMEOUTS_MS = 5_000  # into the next session: 0.6 + 1.2 + 2.4 s are over
MUCH_LATER_MS = 40_000
ALL_COPIES = 3  # a frame and its repeats

# Token and staging die with their session: that these found none is the truth about them.
NEEDS_ITS_SESSION = frozenset({Opcode.PROG_WRITE, Opcode.PROG_VERIFY})
DIED_WITH_THE_SESSION = frozenset({ErrorCode.TOKEN, ErrorCode.NO_STAGED})


class Harm(NamedTuple):
    """One kind of fault: what it is, and how it is set on a line for the n-th frame from now."""

    name: str
    set_on: Callable[[FaultyLine, Direction, int], Fault]


HARMS = (
    Harm("lost", lambda line, way, n: line.drop(way, skip=n)),
    Harm("lost with all its repeats", lambda line, way, n: line.drop(way, ALL_COPIES, skip=n)),
    Harm("doubled", lambda line, way, n: line.duplicate(way, skip=n)),
    Harm("late", lambda line, way, n: line.delay(way, PAST_ONE_TIMEOUT_MS, skip=n)),
    Harm(
        "in the next session", lambda line, way, n: line.delay(way, PAST_ALL_TIMEOUTS_MS, ALL_COPIES, skip=n)
    ),
    Harm("out of order", lambda line, way, n: line.swap(way, skip=n)),
)
MORE_HARMS_FOR_COMMANDS = (
    Harm("ten times over", lambda line, way, n: line.duplicate(way, skip=n, copies=9)),
    Harm("much later", lambda line, way, n: line.delay(way, MUCH_LATER_MS, ALL_COPIES, skip=n)),
    Harm("held until the end", lambda line, way, n: line.hold(way, ALL_COPIES, skip=n)),
    Harm("damaged", lambda line, way, n: line.flip(way, 37 * n + 11, skip=n)),
)


def _play(opcode: Opcode, harm: Harm | None, way: Direction, n: int) -> tuple[World, Operator, object]:
    world = World(seed=n + 1)
    script = SCRIPTS[opcode]
    operator = Operator(world, key=development_key(script.role))
    operator.programmer.connect()
    script.before(operator)
    fault = None if harm is None else harm.set_on(operator.line, way, n)
    result = script.act(operator)
    if fault is not None and not fault.fired:
        raise Violation("this fault hit no frame, so that it shows nothing")
    return world, operator, result


def _frames_of(opcode: Opcode, way: Direction) -> int:
    """How many frames the exchange has in one direction when nothing goes wrong."""
    world = World()
    operator = Operator(world, key=development_key(SCRIPTS[opcode].role))
    operator.programmer.connect()
    SCRIPTS[opcode].before(operator)
    before = len(operator.line.seen(way))
    SCRIPTS[opcode].act(operator)
    return len(operator.line.seen(way)) - before


def _check_word(opcode: Opcode, result: object) -> None:
    """One fault, a willing pump: done, or certainly not done; a refusal or "unknown" would be a wrong word."""
    if not isinstance(result, PumpbenchError) or isinstance(result, NotExecuted):
        return
    if opcode in NEEDS_ITS_SESSION and isinstance(result, LinkError):
        return
    if isinstance(result, CommandRefused) and result.code in DIED_WITH_THE_SESSION:
        return
    raise Violation(f"after a single fault {opcode.name} ended with {type(result).__name__}: {result}")


def test_every_command_of_the_pump_has_a_script() -> None:
    assert set(SCRIPTS) == set(HANDLERS)


@pytest.mark.parametrize("opcode", SCRIPTS, ids=lambda opcode: opcode.name)
def test_without_faults_it_is_answered(opcode: Opcode) -> None:
    world, operator, result = _play(opcode, None, Direction.TO_PUMP, 0)
    assert not isinstance(result, Exception), result
    check_everything(world, [operator])


# FI 47
@pytest.mark.parametrize("way", Direction, ids=lambda way: way.value)
@pytest.mark.parametrize("opcode", SCRIPTS, ids=lambda opcode: opcode.name)
def test_it_is_done_once_or_not_at_all_and_everybody_knows_which(opcode: Opcode, way: Direction) -> None:
    harms = HARMS + (MORE_HARMS_FOR_COMMANDS if COMMANDS[opcode].carries_cmd_id else ())
    cases = product(range(_frames_of(opcode, way)), harms)
    for n, harm in part_of(f"{opcode.name} {way.value}", cases, one_in=12):
        world, operator, result = _play(opcode, harm, way, n)
        try:
            _check_word(opcode, result)
            check_everything(world, [operator])
        except AssertionError as error:
            story = f"{opcode.name}, frame {n} {way.value}: {harm.name}"
            raise AssertionError(f"{story}: {error}\n{operator.wire_log.text(30)}") from error


def _unknown_is_no_failure(error: OutcomeUnknown) -> bool:
    return "may have been carried out" in error.message


def test_a_line_that_stays_dead_ends_in_unknown_and_never_in_failed() -> None:
    world, operator, _ = _play(Opcode.PING, None, Direction.TO_PUMP, 0)
    operator.line.drop(Direction.FROM_PUMP, 1_000, skip=COMMIT_IS_FRAME)
    result = operator.gives_bolus(2_000)
    assert isinstance(result, OutcomeUnknown)
    assert _unknown_is_no_failure(result)
    assert world.true_nl(world.attempts[0]) == 2_000
    check_everything(world, [operator])
    assert [filed.outcome for filed in operator.filed()] == ["DONE"]
