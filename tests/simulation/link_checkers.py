"""What must hold when a simulation is over.

Every outcome is known; log, counters and truth agree; and no frame that was ever sent can change that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hil.programmer.entropy import SeededEntropy
from hil.programmer.programmer import Programmer
from protocol.identifiers import Opcode, Role
from protocol.link.development_keys import development_key
from protocol.log.data import BolusEndData
from protocol.log.types import LogName, LogType
from tests.simulation.operators import GIVING, NOTHING_WAS_DONE, Operator
from tests.simulation.scenario import Violation, World

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hil.outcome_store import FiledCommand
    from protocol.log.entry import LogEntry

BOLUS_OVER_MS = 120_000
BUDGET_BACK_MS = 121_000  # unproven answers are allowed again, and every session has ended for being idle
DELIMITER = b"\x00"

EFFECT_OF = {
    Opcode.BOLUS_COMMIT: LogType.BOLUS_START,
    Opcode.PATIENT_BOLUS: LogType.BOLUS_START,
    Opcode.PRIME: LogType.PRIME_START,
    Opcode.BOLUS_CANCEL: LogType.BOLUS_CANCEL,
    Opcode.STOP: LogType.STOP,
    Opcode.RESUME: LogType.RESUME,
    Opcode.PROG_COMMIT: LogType.PROGRAM_COMMIT,
    Opcode.TIME_SET: LogType.TIME_SET,
    Opcode.REFILL: LogType.REFILL,
}
STARTS = frozenset({LogType.BOLUS_START, LogType.PRIME_START})
ENDS = frozenset({LogType.BOLUS_END, LogType.PRIME_END})
ACT_EACH_TIME = frozenset({Opcode.STOP, Opcode.BOLUS_CANCEL})  # [SPEC 5, R8]


class Facts(NamedTuple):
    """What one pump says of itself over a clean line, when everything is over."""

    entries: tuple[LogEntry, ...]
    bolus_nl: int
    strokes: int
    ends: dict[tuple[int, int], BolusEndData]


def settle(world: World, people: Sequence[Operator]) -> Facts:
    """Clean lines and time: everybody finds out everything, and all accounts agree. Answers them."""
    for operator in people:
        operator.line.clear()
        operator.end.on_operation = None
    if world.pump.controller is None:
        raise Violation("the pump has no power any more")
    world.pump.plant.disarm()
    world.pump.stall_motor(False)
    world.advance(BOLUS_OVER_MS)
    for operator in people:
        operator.replace_programmer()
        operator.programmer.connect()
        operator.note_words()
        operator.programmer.close()
        world.advance(BUDGET_BACK_MS)
    facts = read_facts(world)
    for operator in people:
        check_words(operator, facts)
    check_accounts(world, facts)
    return facts


def read_facts(world: World) -> Facts:
    """Log and counters, read by a programmer who has no part in the story."""
    with _visitor(world, "facts") as visitor:
        history = visitor.read_log(LogName.MAIN)
        if history.first_seq != 1 or not history.complete:
            raise Violation(
                f"the log begins at {history.first_seq}, lost {history.lost}, {history.corrupt_seqs}"
            )
        for log in LogName:
            state = visitor.log_status(log)
            lost = (
                state.lost_total if log is LogName.MAIN else 0
            )  # a flood may fill the security log, no other
            if state.corrupt or state.bad_checkpoints or lost:
                raise Violation(f"the pump's own check of its {log.name} log: {state}")
        delivery = visitor.delivery()
    world.advance(BUDGET_BACK_MS)
    ends: dict[tuple[int, int], BolusEndData] = {}
    actor_of_bolus = 0
    for entry in history.entries:
        if entry.type in STARTS:
            actor_of_bolus = entry.actor
        elif entry.type in ENDS:
            name = (actor_of_bolus, entry.cmd_id)
            if name in ends:
                raise Violation(f"bolus {name} ended twice")
            data = entry.details()
            assert isinstance(data, BolusEndData)
            ends[name] = data
    given_nl = delivery.bolus_nl + delivery.patient_nl + delivery.prime_nl
    return Facts(history.entries, given_nl, delivery.strokes, ends)


def check_words(operator: Operator, facts: Facts) -> None:
    """Each command in a state file: its outcome is known, and it is what the log and the rotor say."""
    actor = operator.key.role << 4 | operator.key.slot
    for filed in operator.filed():
        if not filed.final:
            raise Violation(f"nobody knows what became of {filed}")
        effects = [
            entry
            for entry in facts.entries
            if (entry.type, entry.actor, entry.cmd_id)
            == (EFFECT_OF[Opcode(filed.opcode)], actor, filed.cmd_id)
        ]
        done = filed.outcome not in NOTHING_WAS_DONE
        if filed.outcome == "NOT_STARTED":
            continue  # it began, on paper; the rotor is asked by the world
        if len(effects) > 1 and filed.opcode not in ACT_EACH_TIME:
            raise Violation(f"{filed} took effect {len(effects)} times")
        if done != bool(effects):
            raise Violation(f"{filed}, but the log has {len(effects)} entries of its effect")
        if filed.opcode in GIVING:
            _check_bolus(operator, filed, facts.ends.get((actor, filed.cmd_id)))


def _check_bolus(operator: Operator, filed: FiledCommand, end: BolusEndData | None) -> None:
    attempt = operator.attempt_of(filed.cmd_id)
    if attempt is None or filed.outcome in NOTHING_WAS_DONE:
        return
    true_nl = operator.world.true_nl(attempt)
    if end is None or (end.delivered_nl, end.uncertain_nl) != (filed.delivered_nl, filed.uncertain_nl):
        raise Violation(f"{filed}, but the log says {end}")
    if not filed.delivered_nl <= true_nl <= filed.delivered_nl + filed.uncertain_nl:
        raise Violation(f"{filed}, but the rotor turned {true_nl} nL")
    if filed.uncertain_nl > operator.world.rotor.stroke_nl:
        raise Violation(f"more than a stroke is uncertain in {filed}")
    if filed.outcome == "DONE" and true_nl != attempt.announced_nl:
        raise Violation(f"{filed}, but {true_nl} nL were delivered of {attempt}")


def check_accounts(world: World, facts: Facts) -> None:
    """Sum of the log = counters = truth, but for what a power cut left uncertain."""
    told_nl = sum(end.delivered_nl for end in facts.ends.values())
    uncertain_nl = sum(end.uncertain_nl for end in facts.ends.values())
    true_nl = sum(world.true_nl(attempt) for attempt in world.attempts)
    starts = [entry for entry in facts.entries if entry.type in STARTS]
    if len(starts) != len(facts.ends):
        raise Violation(f"{len(starts)} boluses began, {len(facts.ends)} ended")
    if told_nl != facts.bolus_nl:
        raise Violation(f"the log's boluses are {told_nl} nL, the counter's {facts.bolus_nl} nL")
    if not told_nl <= true_nl <= told_nl + uncertain_nl:
        raise Violation(f"the log says {told_nl} nL, {uncertain_nl} nL uncertain; the rotor {true_nl} nL")


def replay_everything(world: World, before: Facts) -> None:
    """Every frame ever sent comes again: in another's session, after it, backwards, after a reset. Nothing moves."""
    frames = world.all_frames()
    turned = dict(world.rotor.turned_by_duration_ms)
    with _visitor(world, "bystander") as visitor:
        for frame in frames:
            world.put(DELIMITER + frame + DELIMITER)
        visitor.ping()
    world.put(_in_one_write(reversed(frames)))
    world.pump.cut_power()
    world.pump.restore_power()
    world.put(_in_one_write(frames))
    world.advance(BUDGET_BACK_MS)
    after = read_facts(world)
    if after.entries[: len(before.entries)] != before.entries:
        raise Violation("the log was rewritten by a replay")
    effects = frozenset(EFFECT_OF.values())
    new = [entry for entry in after.entries[len(before.entries) :] if entry.type in effects]
    if new or turned != world.rotor.turned_by_duration_ms or after.bolus_nl != before.bolus_nl:
        raise Violation(f"a replay took effect: {new}")


def check_everything(world: World, people: Sequence[Operator]) -> Facts:
    """The end of a simulation."""
    facts = settle(world, people)
    replay_everything(world, facts)
    for operator in people:
        operator.note_words()
    return facts


def _in_one_write(frames: Iterable[bytes]) -> bytes:
    return DELIMITER + DELIMITER.join(frames) + DELIMITER


def _visitor(world: World, name: str) -> Programmer:
    return Programmer(
        world.new_line(),
        key=development_key(Role.CLINICIAN),
        entropy=SeededEntropy(f"{name} {len(world.lines)}"),
        secured=world.profile.model.secured,
    )
