"""Each check of the link's simulations cries out: a mutant for every violation that it knows.

What each rule of the protocol is good for stands in `test_link_mutants`; here the pump, the programmer or the rotor
has one fault, and one check must name it. A mutant is a function put in the place of the real one.
"""

from __future__ import annotations

import ast
import traceback
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from firmware_emu.controller.commands import boluses
from firmware_emu.controller.memory.event_log import EventLog
from firmware_emu.controller.memory.ledger import Ledger
from firmware_emu.controller.memory.log_ring import LogRing
from firmware_emu.controller.therapy.bolus import ActiveBolus, BolusEnd
from firmware_emu.controller.therapy.counters import Counters, Source
from firmware_emu.controller.therapy.delivery_sources import Deliveries
from firmware_emu.controller.therapy.therapy import Therapy
from hil.errors import NotExecuted
from hil.noise import Direction
from hil.programmer.command_ledger import CommandLedger
from protocol.identifiers import Outcome
from protocol.link.events import Request
from protocol.link.pump_end import PumpEnd
from protocol.log.data import BolusEndData, BolusStartData
from protocol.log.types import BolusEndReason, DeliveryKind, LogFlag, LogType
from protocol.wire.framing import Deframer
from tests.simulation import link_checkers, operators, scenario
from tests.simulation.link_checkers import check_everything
from tests.simulation.link_commands import COMMIT_IS_FRAME
from tests.simulation.operators import Operator
from tests.simulation.scenario import Violation, World, simulated_profile
from tests.support.for_each import case_name, for_each

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocol.wire.frame import Frame

    Mutate = Callable[[pytest.MonkeyPatch], None]

MINUTE_MS = 60_000


def gives_a_bolus(operator: Operator) -> None:
    """A bolus of four strokes, on a clean line, to its end."""
    operator.gives_bolus(2_000)
    operator.world.advance(MINUTE_MS)


def loses_power_in_a_bolus(operator: Operator) -> None:
    operator.gives_bolus(2_000)
    operator.world.advance(3_000)
    cut(operator)


def loses_power_before_the_first_stroke(operator: Operator) -> None:
    operator.gives_bolus(2_000, shortest_s=40)
    cut(operator)


def holds_the_rotor_in_a_bolus(operator: Operator) -> None:
    operator.gives_bolus(2_000)
    operator.world.advance(3_000)
    operator.world.pump.stall_motor(True)
    operator.world.advance(MINUTE_MS)


def gives_two_boluses_at_once(operator: Operator) -> None:
    operator.gives_bolus(2_000, shortest_s=40)
    operator.gives_bolus(2_000, shortest_s=40)


def loses_the_commit(operator: Operator) -> None:
    operator.line.drop(Direction.TO_PUMP, 3, skip=COMMIT_IS_FRAME)
    operator.gives_bolus(2_000)
    operator.line.check_all_fired()


def stops_and_resumes(operator: Operator) -> None:
    operator.tries(lambda programmer: programmer.stop())
    operator.tries(lambda programmer: programmer.resume())


def meets_noise(operator: Operator) -> None:
    operator.world.put(b"\x55" * 400)


def says_hello_twice_in_one_write(operator: Operator) -> None:
    operator.world.put(b"".join(b"\0" + frame + b"\0" for frame in operator.world.all_frames()))


def loses_power_for_good(operator: Operator) -> None:
    operator.world.pump.cut_power()


def cut(operator: Operator) -> None:
    operator.world.pump.cut_power()
    operator.world.pump.restore_power()
    operator.world.advance(0)


# --- the mutants ----------------------------------------------------------------------------------------


def a_log_that_begins_later(patch: pytest.MonkeyPatch) -> None:
    real = LogRing.oldest_seq.fget  # type: ignore[attr-defined]
    patch.setattr(LogRing, "oldest_seq", property(lambda ring: min(ring.newest_seq, real(ring) + 1)))


def a_log_whose_chain_is_broken(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(LogRing, "_find_link", lambda _ring: b"forgotten")


def a_log_that_is_rewritten(patch: pytest.MonkeyPatch) -> None:
    real = LogRing.read

    def read(ring: LogRing, seq: int) -> Any:
        entry = real(ring, seq)
        return entry if entry is None or seq > ring.newest_seq - 5 else entry._replace(flags=LogFlag(1))

    patch.setattr(LogRing, "read", read)


def a_bolus_that_ends_twice(patch: pytest.MonkeyPatch) -> None:
    real = Therapy.close_delivery

    def close(therapy: Therapy, row: Any, key_id: int, cmd_id: int, volume_nl: int, end: BolusEnd) -> None:
        real(therapy, row, key_id, cmd_id, volume_nl, end)
        data = BolusEndData(end.delivered_nl, end.uncertain_nl, end.reason)
        therapy.records.enter(row.end_type, data, cmd_id=cmd_id)

    patch.setattr(Therapy, "close_delivery", close)


def a_bolus_that_begins_twice(patch: pytest.MonkeyPatch) -> None:
    real = Therapy.start_delivery

    def start(therapy: Therapy, delivery: Any, *, actor: int) -> int:
        data = BolusStartData(delivery.volume_nl, 60, DeliveryKind.BOLUS)
        therapy.records.enter(LogType.BOLUS_START, data, actor=actor, cmd_id=delivery.cmd_id)
        return real(therapy, delivery, actor=actor)

    patch.setattr(Therapy, "start_delivery", start)


def a_bolus_that_begins_unlogged(patch: pytest.MonkeyPatch) -> None:
    real = EventLog.append

    def append(own: EventLog, log_type: LogType, *args: Any, **more: Any) -> int:
        return real(
            own, LogType.PROGRAM_ABORT if log_type is LogType.BOLUS_START else log_type, *args, **more
        )

    patch.setattr(EventLog, "append", append)


def a_bolus_that_does_not_start_and_has_no_end(patch: pytest.MonkeyPatch) -> None:
    real = EventLog.append

    def append(own: EventLog, log_type: LogType, data: bytes, *args: Any, **more: Any) -> int:
        if log_type is LogType.BOLUS_END and data[8] == BolusEndReason.POWER:
            log_type, data = LogType.PROGRAM_ABORT, b""
        return real(own, log_type, data, *args, **more)

    patch.setattr(EventLog, "append", append)


def a_programmer_that_never_asks(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(CommandLedger, "resolve", lambda _ledger, _deadline=None: ())


def a_programmer_that_says_no_after_a_yes(patch: pytest.MonkeyPatch) -> None:
    real = CommandLedger._accepted

    def accepted(ledger: CommandLedger, memory_id: int, filed: Any, *rest: Any) -> Any:
        real(ledger, memory_id, filed, *rest)
        raise NotExecuted("nothing was done", cmd_id=filed.cmd_id, outcome=Outcome.NEVER_RECEIVED)

    patch.setattr(CommandLedger, "_accepted", accepted)


def a_programmer_that_takes_a_no_back(patch: pytest.MonkeyPatch) -> None:
    def resolve(ledger: CommandLedger, deadline: Any = None) -> tuple[Any, ...]:
        known = ledger.recognition.know(deadline)
        for filed in ledger.store.commands(known.memory_id):
            ledger.store.settle(known.memory_id, filed, Outcome.DONE.name, filed.volume_nl)
        return ()

    patch.setattr(CommandLedger, "resolve", resolve)


def a_ledger_that_adds_a_stroke(patch: pytest.MonkeyPatch) -> None:
    real = Ledger.set_outcome

    def set_outcome(ledger: Ledger, *args: Any, delivered_nl: int = 0, **more: Any) -> Any:
        return real(ledger, *args, delivered_nl=delivered_nl + 500, **more)

    patch.setattr(Ledger, "set_outcome", set_outcome)


def a_pump_that_sees_edges_where_there_are_none(patch: pytest.MonkeyPatch) -> None:
    real = ActiveBolus.advance

    def advance(bolus: ActiveBolus, tick_ms: int, rotor: Any) -> Any:
        turned = real(bolus, tick_ms, rotor)
        if turned is None:
            return None
        run, edges = turned
        bolus.delivered += run.count - edges
        return run, run.count

    patch.setattr(ActiveBolus, "advance", advance)


def a_boot_that_doubts_everything(patch: pytest.MonkeyPatch) -> None:
    def end_after_cut(bolus: ActiveBolus, _latest_cut_ms: int | None) -> BolusEnd:
        left_nl = bolus.strokes_left * bolus.stroke_nl
        return BolusEnd(Outcome.PARTIAL, BolusEndReason.POWER, bolus.delivered_nl, left_nl)

    patch.setattr(ActiveBolus, "end_after_cut", end_after_cut)


def a_bolus_that_is_always_done(patch: pytest.MonkeyPatch) -> None:
    def end(bolus: ActiveBolus, _early: BolusEndReason | None = None) -> BolusEnd:
        return BolusEnd(Outcome.DONE, BolusEndReason.COMPLETE, bolus.delivered_nl, 0)

    patch.setattr(ActiveBolus, "end", end)


def a_counter_that_takes_all_for_basal(patch: pytest.MonkeyPatch) -> None:
    real = Counters.count
    patch.setattr(
        Counters, "count", lambda counters, _source, *numbers: real(counters, Source.BASAL, *numbers)
    )


def a_pump_that_takes_frames_of_any_session(patch: pytest.MonkeyPatch) -> None:
    real = PumpEnd._receive_request

    def receive(end: PumpEnd, frame: Frame, line_ms: int) -> None:
        if end._session is None or frame.sid == end._session.info.sid:
            real(end, frame, line_ms)
        else:
            end._events.append(Request(frame.opcode, frame.body, frame.ctr))

    patch.setattr(PumpEnd, "_receive_request", receive)


def a_bolus_that_takes_longer_than_was_asked(patch: pytest.MonkeyPatch) -> None:
    def longer(*, duration_ms: int, **more: Any) -> ActiveBolus:
        return ActiveBolus(duration_ms=duration_ms + 500, **more)

    patch.setattr(boluses, "ActiveBolus", longer)


def a_bolus_of_a_stroke_more(patch: pytest.MonkeyPatch) -> None:
    def larger(*, strokes_total: int, **more: Any) -> ActiveBolus:
        return ActiveBolus(strokes_total=strokes_total + 1, **more)

    patch.setattr(boluses, "ActiveBolus", larger)


def a_pump_that_denies_what_it_begins(patch: pytest.MonkeyPatch) -> None:
    real = ActiveBolus.end_after_cut

    def end_after_cut(bolus: ActiveBolus, latest_cut_ms: int | None) -> BolusEnd:
        return real(bolus, latest_cut_ms)._replace(outcome=Outcome.NOT_STARTED)

    patch.setattr(ActiveBolus, "end_after_cut", end_after_cut)


def a_receiver_without_a_limit(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Deframer, "_keep", lambda deframer, _frames, rest: setattr(deframer, "_partial", rest))


def a_pump_that_takes_one_event_a_step(patch: pytest.MonkeyPatch) -> None:
    real = PumpEnd.next_event
    taken: dict[int, int] = {}

    def next_event(end: PumpEnd, line_ms: int) -> Any:
        if taken.get(id(end)) == line_ms and len(end._arrived) > 1:
            return None
        taken[id(end)] = line_ms
        return real(end, line_ms)

    patch.setattr(PumpEnd, "next_event", next_event)


def a_pump_that_gives_two_boluses_at_once(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Deliveries, "of_source", lambda _deliveries, _source: None)
    patch.setattr(Deliveries, "in_the_way_of", lambda _deliveries, _source: None)


def nothing_wrong(_patch: pytest.MonkeyPatch) -> None:
    """The real pump, programmer and rotor."""


class Case(NamedTuple):
    """A mutant, what happens to it, and the words of the check that sees it."""

    mutate: Mutate
    plot: Callable[[Operator], None]
    words: str
    secured: bool = True
    in_a_file: bool = True
    """False where nobody who is asked at the end has filed what was done: log and rotor are held against each other."""


CASES = (
    Case(nothing_wrong, loses_power_for_good, "the pump has no power any more"),
    Case(a_log_that_begins_later, gives_a_bolus, "the log begins at 2"),
    Case(a_log_whose_chain_is_broken, cut, "the pump's own check of its"),
    Case(a_log_that_is_rewritten, gives_a_bolus, "the log was rewritten by a replay"),
    Case(a_bolus_that_ends_twice, gives_a_bolus, "ended twice"),
    Case(a_bolus_that_begins_unlogged, gives_a_bolus, "but the log has 0 entries of its effect"),
    Case(a_bolus_that_begins_twice, gives_a_bolus, "took effect 2 times"),
    Case(
        a_bolus_that_does_not_start_and_has_no_end, loses_power_before_the_first_stroke, "1 boluses began, 0"
    ),
    Case(a_programmer_that_never_asks, gives_a_bolus, "nobody knows what became of"),
    Case(
        a_programmer_that_says_no_after_a_yes,
        gives_a_bolus,
        "the programmer says nothing was done, its state",
    ),
    Case(a_programmer_that_takes_a_no_back, loses_the_commit, "command 1 was NEVER_RECEIVED and is DONE now"),
    Case(a_ledger_that_adds_a_stroke, gives_a_bolus, "but the log says"),
    Case(a_pump_that_sees_edges_where_there_are_none, holds_the_rotor_in_a_bolus, "but the rotor turned"),
    Case(a_boot_that_doubts_everything, loses_power_in_a_bolus, "more than a stroke is uncertain"),
    Case(
        a_pump_that_sees_edges_where_there_are_none,
        holds_the_rotor_in_a_bolus,
        "the log says 2000 nL, 0 nL uncertain; the rotor",
        in_a_file=False,
    ),
    Case(a_bolus_that_is_always_done, holds_the_rotor_in_a_bolus, "), but 500 nL were delivered of"),
    Case(
        a_counter_that_takes_all_for_basal, gives_a_bolus, "the log's boluses are 2000 nL, the counter's 0 nL"
    ),
    Case(a_pump_that_takes_frames_of_any_session, stops_and_resumes, "a replay took effect", secured=False),
    Case(a_bolus_that_takes_longer_than_was_asked, gives_a_bolus, "that nobody asked for"),
    Case(a_bolus_of_a_stroke_more, gives_a_bolus, "2500 nL were delivered of"),
    Case(a_pump_that_denies_what_it_begins, loses_power_in_a_bolus, "denied='NOT_STARTED'"),
    Case(a_receiver_without_a_limit, meets_noise, "the receiver holds 400 bytes"),
    Case(a_pump_that_takes_one_event_a_step, says_hello_twice_in_one_write, "are left over after a step"),
    Case(a_pump_that_gives_two_boluses_at_once, gives_two_boluses_at_once, "2 commands are open at once"),
)


def play(case: Case) -> None:
    world = World(profile=simulated_profile(secured=case.secured))
    operator = Operator(world)
    operator.programmer.connect()
    case.plot(operator)
    check_everything(world, [operator] if case.in_a_file else [])


@cache
def raised_by(case: Case) -> Violation:
    with pytest.MonkeyPatch.context() as patch:
        case.mutate(patch)
        with pytest.raises(Violation) as seen:
            play(case)
    return seen.value


@for_each("case", CASES, name=lambda case: case.words)
def test_each_check_sees_its_mutant(case: Case) -> None:
    assert case.words in str(raised_by(case))


def test_there_is_a_mutant_for_every_violation_that_the_checkers_know() -> None:
    known = {
        (Path(str(module.__file__)).name, node.lineno)
        for module in (link_checkers, operators, scenario)
        for node in ast.walk(ast.parse(Path(str(module.__file__)).read_text()))
        if isinstance(node, ast.Raise)
        and isinstance(node.exc, ast.Call)
        and "Violation" in ast.unparse(node.exc)
    }
    last = [traceback.extract_tb(raised_by(case).__traceback__)[-1] for case in CASES]
    assert known == {(Path(frame.filename).name, frame.lineno) for frame in last}


@for_each("plot", sorted({case.plot for case in CASES} - {loses_power_for_good}, key=case_name))
def test_without_a_mutant_no_check_cries_out(plot: Callable[[Operator], None]) -> None:
    for secured in (True, False):
        play(Case(nothing_wrong, plot, "", secured=secured))
