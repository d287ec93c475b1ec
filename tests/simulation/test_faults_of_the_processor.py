"""Faults of the chip: bits of RAM and code, a stack that grows, tasks that hang, a watchdog that bites or is dead.

A fault acts on the chip alone; what the program makes of it is held here against what is physically so [DOMAIN 8].
"""

from __future__ import annotations

import pytest

from firmware_emu.bench.trace_hash import trace_bytes
from firmware_emu.controller.critical_values import COPY, CRITICAL
from firmware_emu.events import WatchdogReset
from firmware_emu.pins import WORD_BITS
from firmware_emu.plant.processor import TASKS
from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR, MS_PER_MINUTE
from hil.campaign.conversation import Conversation, memory_of, profile_of
from hil.plugin import verifies
from protocol.identifiers import AlarmId, OnExpiry, Outcome, SelfTestFault, State, StateReason, StopReason
from protocol.log.data import AlarmOnData
from protocol.log.types import BootCause, LogType, MemoryFault
from protocol.messages.ledger import QueryCmd
from protocol.messages.program import ProgCommit
from protocol.messages.reading import GetStatus
from protocol.messages.stop import Resume, Stop
from tests.simulation.invariants import assert_log_is_whole, assert_volumes_agree
from tests.simulation.stepping import cuts
from tests.support.for_each import for_each
from tests.support.soak import part_of

HOUR, MINUTE = MS_PER_HOUR, MS_PER_MINUTE
BEGIN_MS = 10 * HOUR + 1_000
STROKE_MS = 72_000  # 500 nL at 600,000 nL/day
SAFE_NL_PER_DAY = 6_000
CELLS = [*range(len(CRITICAL)), *range(COPY, COPY + len(CRITICAL))]
Given = tuple[tuple[str, dict[str, int]], ...]


def at_work(**model: object) -> Conversation:
    """A pump that has delivered for ten hours, and a bolus in work of forty minutes."""
    talk = Conversation.with_new_pump(profile_of(**model))  # type: ignore[arg-type] # fields of the model
    talk.wait_until(BEGIN_MS)
    talk.start_bolus(1, 20_000, 2_400)
    return talk


def before_a_stroke() -> Conversation:
    """The same, half a second before a basal stroke; RAM is tested 48 s later."""
    talk = at_work()
    talk.wait_until(BEGIN_MS // STROKE_MS * STROKE_MS + STROKE_MS - 500)
    return talk


def flips(cell: int, *bits: int) -> Given:
    return tuple(("ram-flip", {"cell": cell, "bit": bit}) for bit in bits)


def inject(talk: Conversation, given: Given) -> None:
    for name, parameters in given:
        talk.pump.inject(name, parameters)


def alarm_on(talk: Conversation, alarm_id: AlarmId) -> AlarmOnData:
    """What the log says of the only time that an alarm was raised."""
    raised: list[AlarmOnData] = [e.details() for e in talk.log() if e.type is LogType.ALARM_ON]
    (found,) = [each for each in raised if each.alarm_id is alarm_id]
    return found


def types_since(talk: Conversation, seq: int) -> list[LogType]:
    return [entry.type for entry in talk.log() if entry.seq > seq]


# FI 40
@verifies("SAF-007")
@for_each("cell", CELLS)
def test_a_single_flip_of_a_critical_variable_is_put_right_and_logged_and_nothing_else_happens(
    cell: int,
) -> None:
    plain, talk = at_work(), at_work()
    last_seq = talk.log()[-1].seq
    inject(talk, flips(cell, cell * 3))
    for each in (plain, talk):
        each.wait(2 * HOUR)
    status = talk.granted(GetStatus())
    assert (status.state, status.alarm_active, status.alarm_latched) == (State.RUN, 0, 0)
    assert talk.pump.truth() == plain.pump.truth(), "nothing of it reaches the patient"
    assert types_since(talk, last_seq) == [LogType.RAM_FAULT, LogType.BOLUS_END]
    assert next(e for e in talk.log() if e.type is LogType.RAM_FAULT).details().address == cell
    assert talk.granted(QueryCmd(1)).outcome is Outcome.DONE


# FI 40, 41
@verifies("SAF-008")
@for_each("cell", CELLS)
def test_a_double_flip_ends_in_the_safe_state_with_a_critical_alarm_and_before_another_stroke(
    cell: int,
) -> None:
    talk = before_a_stroke()
    turned = talk.pump.truth().strokes_turned
    inject(talk, flips(cell, 3, 60))
    talk.wait(HOUR)
    assert talk.pump.truth().strokes_turned == turned
    status = talk.granted(GetStatus())
    assert (status.state, status.state_reason) == (State.SAFE_STATE, StateReason.MEMORY)
    assert (status.rate_nl_per_day, status.bolus_cmd_id) == (SAFE_NL_PER_DAY, 0)
    raised = alarm_on(talk, AlarmId.MEM_CRITICAL)
    assert (raised.cause, raised.value) == (MemoryFault.RAM, cell)
    assert talk.granted(QueryCmd(1)).outcome is Outcome.PARTIAL
    assert_volumes_agree(talk)
    assert_log_is_whole(talk)


# FI 41
@verifies("SAF-004", "SAF-008")
@for_each("cell", CELLS)
def test_flips_that_make_another_valid_codeword_are_found_by_the_other_channel(cell: int) -> None:
    """Bits 3, 5 and 6 together look like a flip of bit 0: the value that comes out is wrong, and whole."""
    talk = before_a_stroke()
    turned = talk.pump.truth().strokes_turned
    inject(talk, flips(cell, 3, 5, 6))
    talk.wait(HOUR)
    assert talk.pump.truth().strokes_turned == turned
    assert talk.granted(GetStatus()).state is State.SAFE_STATE
    raised = alarm_on(talk, AlarmId.MEM_CRITICAL)
    assert (raised.cause, raised.value) == (MemoryFault.CHANNELS, cell % COPY)


@verifies("SAF-008")
def test_only_a_program_leads_out_of_the_safe_state_of_a_lost_variable() -> None:
    talk = at_work()
    inject(talk, flips(0, 1, 2))
    talk.wait(HOUR)
    assert talk.ask(Resume(2, 1)).code.name in ("SAFE_STATE", "RUNNING")
    talk.pump.cut_power()
    talk.pump.restore_power()
    assert talk.granted(GetStatus()).state is State.SAFE_STATE
    staged = talk.stage(300_000, 500_000, base_rev=1).staged_crc
    talk.granted(ProgCommit(3, 1, staged, start=True))
    status = talk.granted(GetStatus())
    assert (status.state, status.rate_nl_per_day) == (State.RUN, 600_000)
    assert not status.alarm_active >> AlarmId.MEM_CRITICAL & 1


# FI 40
@verifies("SAF-008")
def test_a_pump_that_is_stopped_stays_stopped_when_a_variable_is_lost() -> None:
    talk = at_work()
    talk.granted(Stop(2, 7_200, StopReason.MRI, OnExpiry.RESUME))
    turned = talk.pump.truth().strokes_turned
    inject(talk, flips(4, 1, 2))
    talk.wait(HOUR)
    assert talk.granted(GetStatus()).state is State.FAULT_STOP
    assert talk.pump.truth().strokes_turned == turned
    talk.wait(2 * HOUR)
    assert talk.granted(GetStatus()).state is State.SAFE_STATE, (
        "RESUME of a stop gives back the safe rate at most"
    )


@verifies("SAF-007")
@for_each("wait_ms", [0, 59_000, STROKE_MS * 3])
def test_a_flip_is_found_at_the_first_use_or_test_of_the_variable_whichever_comes_first(wait_ms: int) -> None:
    talk = Conversation.with_new_pump()
    talk.wait_until(BEGIN_MS + wait_ms)
    inject(talk, flips(0, 5))
    talk.wait(HOUR)
    (found,) = [entry for entry in talk.log() if entry.type is LogType.RAM_FAULT]
    test_ms = (talk.now_ms - HOUR) // MINUTE * MINUTE + MINUTE
    stroke_ms = (talk.now_ms - HOUR) // STROKE_MS * STROKE_MS + STROKE_MS
    assert found.t_mono_s * 1_000 + found.t_ms == min(test_ms, stroke_ms)


@verifies("SAF-007")
def test_a_flip_is_found_by_whoever_asks_the_pump() -> None:
    talk = at_work()
    inject(talk, flips(0, 5))
    talk.granted(GetStatus())
    (found,) = [entry for entry in talk.log() if entry.type is LogType.RAM_FAULT]
    assert found.t_mono_s * 1_000 + found.t_ms == talk.now_ms


# FI 40
@verifies("SAF-003")
@for_each("bit", [0, 17, 31])
def test_a_flip_in_the_code_is_found_within_an_hour_and_at_each_start(bit: int) -> None:
    talk = at_work()
    talk.pump.inject("code-flip", {"bit": bit})
    talk.wait(HOUR)
    status = talk.granted(GetStatus())
    assert (status.state, status.state_reason) == (State.SAFE_STATE, StateReason.SELF_TEST)
    (told,) = [entry for entry in talk.log() if entry.type is LogType.POST_FAIL]
    assert (told.details().failed, told.t_mono_s) == (SelfTestFault.FIRMWARE, 11 * 3_600)
    talk.wait(MS_PER_DAY)
    assert [entry.type for entry in talk.log()].count(LogType.POST_FAIL) == 1, "it is told once"
    staged = talk.stage(300_000, 500_000, base_rev=1).staged_crc
    talk.granted(ProgCommit(3, 1, staged, start=True))
    talk.wait(HOUR)
    assert talk.granted(GetStatus()).state is State.SAFE_STATE, "no program heals code"


@for_each(("name", "given"), [("code-flip", {"bit": 12}), ("cpu-fault", {})])
def test_what_was_due_before_the_hourly_test_failed_is_delivered_whoever_has_looked_meanwhile(
    name: str, given: dict[str, int]
) -> None:
    once, looked_at = Conversation.with_new_pump(), Conversation.with_new_pump()
    for talk in (once, looked_at):
        talk.wait(MS_PER_MINUTE)
        talk.pump.inject(name, given)
    for _ in range(59):
        looked_at.wait(MS_PER_MINUTE)
        looked_at.pump.truth()
    once.wait_until(looked_at.now_ms)
    assert once.granted(GetStatus()).state is State.SAFE_STATE
    assert once.pump.truth() == looked_at.pump.truth()
    assert once.pump.belief() == looked_at.pump.belief()


@verifies("SAF-003")
def test_a_processor_that_multiplies_wrong_is_found_within_an_hour() -> None:
    talk = at_work()
    talk.pump.inject("cpu-fault", {})
    talk.wait(HOUR)
    assert talk.granted(GetStatus()).state_reason is StateReason.SELF_TEST
    (told,) = [entry for entry in talk.log() if entry.type is LogType.POST_FAIL]
    assert (told.details().failed, told.t_mono_s) == (SelfTestFault.CPU, 11 * 3_600)


# FI 44
@verifies("SAF-008")
def test_a_stack_that_grew_over_its_guard_ends_in_the_safe_state_before_another_stroke() -> None:
    talk = before_a_stroke()
    turned = talk.pump.truth().strokes_turned
    talk.pump.inject("stack-overflow", {})
    talk.wait(HOUR)
    assert talk.pump.truth().strokes_turned == turned
    assert talk.granted(GetStatus()).state is State.SAFE_STATE
    (told,) = [entry.details() for entry in talk.log() if entry.type is LogType.POST_FAIL]
    assert told.failed == SelfTestFault.STACK


# FI 37
@verifies("SAF-009")
@for_each("task", list(TASKS))
def test_a_task_that_hangs_is_reset_by_the_watchdog_and_therapy_goes_on(task: str) -> None:
    talk = at_work()
    before = talk.pump.truth()
    talk.pump.inject("hung-task", {"task": TASKS[task]})
    talk.wait(89_999)
    turned = talk.pump.truth().strokes_turned - before.strokes_turned
    assert bool(turned) is (task == "link"), "only a hung link lets the rest of the program run"
    talk.client.open(talk.now_ms)
    assert not talk.pump.step(talk.pump.now, talk.client.take_output()).to_send
    talk.client = talk._new_client()
    assert not any(isinstance(entry.event, WatchdogReset) for entry in talk.trace)
    talk.wait(1)
    assert [e.event for e in talk.trace if isinstance(e.event, WatchdogReset)] == [WatchdogReset(TASKS[task])]
    status = talk.granted(GetStatus())
    assert (status.state, status.rate_nl_per_day) == (State.RUN, 600_000)
    assert status.alarm_latched >> AlarmId.RESET & 1
    boot = next(entry.details() for entry in reversed(talk.log()) if entry.type is LogType.BOOT)
    assert boot.cause is BootCause.WATCHDOG
    assert [entry.type for entry in talk.log()].count(LogType.WATCHDOG) == 1
    assert talk.granted(QueryCmd(1)).outcome is Outcome.PARTIAL
    assert_volumes_agree(talk)
    assert_log_is_whole(talk)


# FI 37
@verifies("SAF-009")
def test_a_watchdog_that_bites_without_a_reason_costs_a_restart_and_no_therapy() -> None:
    talk = at_work()
    talk.pump.inject("watchdog-false", {})
    talk.wait(HOUR)
    assert talk.granted(GetStatus()).state is State.RUN
    assert [entry.type for entry in talk.log()].count(LogType.WATCHDOG) == 1
    talk.pump.cut_power()
    talk.pump.restore_power()
    boots = [entry.details().cause for entry in talk.log() if entry.type is LogType.BOOT]
    assert boots == [BootCause.FIRST, BootCause.WATCHDOG, BootCause.POWER]
    assert_volumes_agree(talk)


@for_each(("name", "cleared"), [("hung-task", False), ("hung-task", True), ("watchdog-false", False)])
def test_a_reset_that_is_due_while_there_is_no_power_never_comes_and_time_goes_on(
    name: str,
    cleared: bool,
) -> None:
    talk = Conversation.with_new_pump()
    talk.pump.cut_power()
    talk.pump.inject(name, {})
    if cleared:
        talk.pump.clear(name)
    talk.wait(MS_PER_HOUR)
    talk.pump.restore_power()
    talk.wait(MS_PER_HOUR)
    assert not [entry for entry in talk.trace if isinstance(entry.event, WatchdogReset)]
    assert talk.granted(GetStatus()).state is State.RUN


# FI 37
@verifies("SAF-006", "SAF-009")
def test_a_dead_watchdog_leaves_a_hung_pump_hung_and_the_next_start_finds_it() -> None:
    talk = at_work()
    talk.pump.inject("watchdog-dead", {})
    talk.pump.inject("hung-task", {})
    turned = talk.pump.truth().strokes_turned
    talk.wait(MS_PER_DAY)
    assert talk.pump.truth().strokes_turned == turned
    talk.pump.cut_power()
    talk.pump.restore_power()
    status = talk.granted(GetStatus())
    assert (status.state, status.alarm_active >> AlarmId.SELF_TEST & 1) == (State.RUN, 1)


def _hangs(talk: Conversation) -> int:
    return next(each.effects for each in talk.pump.faults() if each.fault.name == "hung-task")


@for_each("ends", ["not at all", "with the power", "by the watchdog"])
def test_a_hang_counts_once_by_the_first_thing_that_it_kept_from_being_done_however_it_ends(
    ends: str,
) -> None:
    talk = at_work()
    due_ms = STROKE_MS - talk.now_ms % STROKE_MS
    if ends != "by the watchdog":
        talk.pump.inject("watchdog-dead", {})
    talk.pump.inject("hung-task", {"task": TASKS["delivery"]})
    assert _hangs(talk) == 0
    other = talk.fork()
    other.wait(due_ms)
    assert _hangs(other) == 1, "a stroke is missing, and nobody has been reset yet"
    talk.wait(HOUR)
    if ends == "with the power":
        talk.pump.cut_power()
        talk.pump.restore_power()
    assert (_hangs(talk), _hangs(talk)) == (1, 1)


def test_a_link_that_hangs_counts_when_a_frame_is_lost_in_it_and_not_before() -> None:
    talk = at_work()
    talk.pump.inject("watchdog-dead", {})
    talk.pump.inject("hung-task", {"task": TASKS["link"]})
    talk.wait(HOUR)
    assert _hangs(talk) == 0
    for _ in range(2):
        talk.pump.step(talk.pump.now, b"\x00")
        assert _hangs(talk) == 1


# FI 37
@verifies("SAF-009")
@for_each("task", list(TASKS))
def test_a_task_that_is_freed_after_a_day_starts_anew_and_catches_nothing_up(task: str) -> None:
    talk = at_work()
    talk.pump.inject("watchdog-dead", {})
    talk.pump.inject("hung-task", {"task": TASKS[task]})
    talk.wait(MS_PER_DAY)
    turned = talk.pump.truth().strokes_turned
    talk.pump.clear("hung-task")
    assert not next(each.on for each in talk.pump.faults() if each.fault.name == "hung-task")
    talk.wait(HOUR)
    assert talk.pump.truth().strokes_turned - turned <= HOUR // STROKE_MS + 1
    assert_volumes_agree(talk)


# FI 40
@verifies("SAF-010")
def test_a_bit_of_ram_that_is_stuck_is_told_once_and_ends_in_the_safe_state() -> None:
    talk = at_work()
    talk.pump.inject("ram-stuck", {"cell": 2, "bit": 71})
    talk.wait(3 * HOUR)
    status = talk.granted(GetStatus())
    assert (status.state, status.state_reason) == (State.SAFE_STATE, StateReason.SELF_TEST)
    types = [entry.type for entry in talk.log()]
    assert (types.count(LogType.RAM_FAULT), types.count(LogType.POST_FAIL)) == (1, 1)


# FI 40
@verifies("SAF-010")
@for_each(
    ("bits", "told"),
    [((70, 71), LogType.RAM_FAULT), (tuple(range(WORD_BITS)), LogType.CHANNEL_MISMATCH)],
)
def test_a_cell_that_stays_lost_is_told_once_delivers_the_safe_rate_and_lets_no_program_run(
    bits: tuple[int, ...], told: LogType
) -> None:
    talk = at_work()
    inject(talk, tuple(("ram-stuck", {"cell": 2, "bit": bit}) for bit in bits))
    talk.wait(MINUTE)
    turned = talk.pump.truth().strokes_turned
    talk.wait(5 * HOUR)
    assert talk.pump.truth().strokes_turned - turned == 2, "6,000 nL a day are one stroke in two hours"
    entries = {LogType.RAM_FAULT, LogType.CHANNEL_MISMATCH, LogType.POST_FAIL}
    assert [entry.type for entry in talk.log() if entry.type in entries] == [told, LogType.POST_FAIL]
    staged = talk.stage(300_000, 500_000, base_rev=1).staged_crc
    talk.granted(ProgCommit(3, 1, staged, start=True))
    talk.wait(MINUTE)
    assert talk.granted(GetStatus()).state is State.SAFE_STATE


FAULTS: dict[str, Given] = {
    "a single flip": flips(0, 7),
    "a double flip": flips(18, 7, 8),
    "flips of another codeword": flips(2, 3, 5, 6),
    "a flip in the code": (("code-flip", {"bit": 3}),),
    "a stuck bit": (("ram-stuck", {"cell": 3, "bit": 71}),),
    "two stuck bits": tuple(("ram-stuck", {"cell": 3, "bit": bit}) for bit in (70, 71)),
    "a stack": (("stack-overflow", {}),),
    "a hung delivery": (("hung-task", {"task": TASKS["delivery"]}),),
    "a hung link": (("hung-task", {"task": TASKS["link"]}),),
    "a false watchdog": (("watchdog-false", {}),),
    "a wake-up": (("emi-wake", {"duration_ms": 100_001}),),
}


@verifies("SAF-011")
@for_each("name", list(FAULTS))
def test_step_size_never_matters_while_the_processor_is_faulty(name: str) -> None:
    coarse = at_work()
    inject(coarse, FAULTS[name])
    fine = coarse.fork()
    end_ms = coarse.now_ms + 3 * HOUR
    events_ms = [coarse.now_ms + ms for ms in (29_000, 59_000, 71_000, 90_000, 100_001)]
    for ms in [ms for ms in cuts(1, end_ms, 400, events_ms) if ms > fine.now_ms]:
        fine.wait_until(ms)
    for each in (coarse, fine):
        each.wait_until(end_ms)
    assert trace_bytes(coarse.trace) == trace_bytes(fine.trace)
    assert coarse.pump.truth() == fine.pump.truth()
    assert coarse.pump.belief() == fine.pump.belief()
    assert memory_of(coarse.pump) == memory_of(fine.pump)


@verifies("SAF-011")
@for_each("name", list(FAULTS))
def test_a_fork_of_a_faulty_pump_has_a_future_of_its_own(name: str) -> None:
    talk = at_work()
    inject(talk, FAULTS[name])
    twin, kept = talk.fork(), talk.fork()
    twin.wait(HOUR)
    for each in (talk, kept):
        each.wait(HOUR)
    assert talk.pump.truth() == twin.pump.truth() == kept.pump.truth()
    assert talk.pump.faults() == twin.pump.faults()


@verifies("SAF-012")
@pytest.mark.parametrize("name", FAULTS)
def test_power_goes_in_each_write_of_a_detection_and_the_pump_is_in_its_therapy_or_in_its_safe_state(
    name: str,
) -> None:
    base = at_work()
    inject(base, FAULTS[name])
    done = base.fork()
    before = len(done.writes)
    done.wait(2 * HOUR)
    wanted = done.granted(GetStatus())
    lengths = [len(data) for _, data in done.writes[before:]]
    assert lengths
    numbers = [*range(1, min(len(lengths), 12) + 1)]
    cuts_of_power = [
        (n, torn) for n in numbers for torn in sorted({0, 1, lengths[n - 1] // 2, lengths[n - 1]})
    ]
    for number, torn in part_of(f"a cut in {name}", cuts_of_power, one_in=3):
        talk = base.fork()
        talk.pump.plant.cut_at_write(number, torn)
        talk.wait(2 * HOUR)
        assert talk.pump.powered
        status = talk.granted(GetStatus())
        assert status.state in (State.RUN, State.SAFE_STATE)
        if wanted.state is State.SAFE_STATE and status.state is State.RUN:
            assert status.rate_nl_per_day == 600_000, "what was in RAM is gone with it, and so is the fault"
            assert name != "a flip in the code"
        assert_log_is_whole(talk)
        assert_volumes_agree(talk)
