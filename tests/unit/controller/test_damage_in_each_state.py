"""A record of the memory is lost while power is off, in every state: what the other records know still holds."""

from __future__ import annotations

from itertools import product

from firmware_emu.controller.memory.memory_map import CHECKPOINT_OFFSETS, PLACES, Region
from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR, MS_PER_S
from hil.campaign.conversation import Conversation, profile_of
from protocol.identifiers import AlarmId, BatteryPhase, ProgramSlot, State, StateReason
from protocol.log.types import LogName, LogType
from protocol.messages.alarms import AlarmAck, GetAlarms
from protocol.messages.log import LogStatus
from protocol.messages.program import GetProgram
from protocol.messages.reading import GetDelivery, GetInfo, GetStatus
from protocol.messages.reservoir import GetReservoir
from tests.support.for_each import for_each
from tests.unit.controller.test_commands_in_each_state import STATES, in_state

RECORD_HEADER_BYTES = 3
CHECKPOINT_HEADER_BYTES = 6
DAMAGES: tuple[frozenset[Region], ...] = (
    frozenset(),
    *(frozenset({region}) for region in Region),
    frozenset({Region.THERAPY, Region.SERVICE}),
    frozenset({Region.THERAPY, Region.LEDGER}),
    frozenset({Region.LEDGER, Region.ALARMS}),
    frozenset({Region.THERAPY, Region.ALARMS}),
    frozenset({Region.ALARMS, Region.SERVICE}),
)
CRITICAL = frozenset(Region) - {
    Region.ALARMS,
    Region.WALL_CLOCK,
    Region.SERVICE,
    Region.TEXTS,
    Region.DAY,
    Region.KEYS,
    Region.KEYS_COPY,
}


def flip(talk: Conversation, offset: int) -> None:
    flash = talk.pump.plant.flash
    flash.load([(offset, bytes([flash.read(offset, 1)[0] ^ 0x40]))])


def newest_checkpoint(talk: Conversation) -> int:
    read = talk.pump.plant.flash.read
    return max(CHECKPOINT_OFFSETS, key=lambda offset: int.from_bytes(read(offset, 4), "little"))


def restarted(base: Conversation, *regions: Region, checkpoints: tuple[int, ...] = ()) -> Conversation:
    """The pump after a loss of power in which these records and checkpoint slots were damaged."""
    talk = base.fork()
    talk.pump.cut_power()
    for region in regions:
        flip(talk, PLACES[region].offset)
    for offset in checkpoints:
        flip(talk, offset + CHECKPOINT_HEADER_BYTES)
    talk.pump.restore_power()
    talk.wait(0)
    return talk


def is_active(talk: Conversation, alarm_id: AlarmId) -> bool:
    return bool(talk.granted(GetStatus()).alarm_active >> alarm_id & 1)


def check_that_records_agree(talk: Conversation) -> None:
    controller = talk.pump.controller
    assert controller is not None
    records, therapy = controller.records, controller.therapy
    assert not records.window.running_nl, "a volume counts as under way though nothing is delivered"
    assert not records.ledger.open_entries()
    assert not therapy.deliveries.on_top
    assert is_active(talk, AlarmId.MOTOR_STALL) is therapy.detector.stalled
    assert is_active(talk, AlarmId.EOS) is (records.therapy.state is State.EOS)
    assert is_active(talk, AlarmId.ERI) is (records.service.phase is not BatteryPhase.OK)
    types = [entry.type for entry in talk.log()]
    assert types.count(LogType.BOLUS_START) == types.count(LogType.BOLUS_END)
    for message in (GetInfo(), GetReservoir(), GetAlarms(), GetDelivery(), GetProgram(ProgramSlot.ACTIVE, 0)):
        talk.granted(message)


@for_each(("state", "lost"), list(product(STATES, DAMAGES)), one_in=3)
def test_whatever_record_is_lost_in_whatever_state_the_others_agree(
    state: str, lost: frozenset[Region]
) -> None:
    talk = restarted(in_state(state), *lost)
    check_that_records_agree(talk)
    status = talk.granted(GetStatus())
    told = (
        status.alarm_active >> AlarmId.MEM_CRITICAL & 1 or status.alarm_active >> AlarmId.MEM_NONCRITICAL & 1
    )
    assert bool(told) is bool(lost)
    rows = {row.alarm_id: row.value for row in talk.granted(GetAlarms()).alarms}
    if lost & CRITICAL:
        assert rows[AlarmId.MEM_CRITICAL] == min(lost & CRITICAL), "the first of the damaged regions"
    elif lost:
        assert rows[AlarmId.MEM_NONCRITICAL] == min(lost)
    for log in LogName:
        found = talk.granted(LogStatus(log))
        # the key of the chain is in IDENTITY: without it the chain cannot be vouched for
        assert (found.corrupt, found.bad_checkpoints) == (0, 0) or Region.IDENTITY in lost


@for_each("lost", DAMAGES)
def test_a_pump_that_was_never_programmed_delivers_nothing_whatever_record_is_lost(
    lost: frozenset[Region],
) -> None:
    talk = restarted(in_state("new"), *lost)
    talk.wait(3 * MS_PER_DAY)
    status = talk.granted(GetStatus())
    assert status.state in (State.STOP, State.FAULT_STOP)
    assert (status.rate_nl_per_day, talk.pump.truth().strokes_turned) == (0, 0)


def test_a_factory_pump_loses_power_and_stays_as_it_left_the_factory() -> None:
    talk = restarted(in_state("new"))
    talk.wait(3 * MS_PER_DAY)
    status = talk.granted(GetStatus())
    assert (status.state, status.state_reason) == (State.STOP, StateReason.NEVER_PROGRAMMED)
    assert status.alarm_active == 0
    assert status.alarm_latched == 1 << AlarmId.RESET


@for_each("lost", [{Region.LEDGER}, {Region.LEDGER, Region.THERAPY}, {Region.LEDGER, Region.ALARMS}])
def test_a_bolus_whose_ledger_is_lost_ends_in_the_log_and_leaves_the_windows_after_a_day(
    lost: set[Region],
) -> None:
    base = in_state("bolus").fork()
    base.wait(299_999)  # 20 of 40 strokes are due at 300 s
    talk = restarted(base, *lost)
    (end,) = [entry for entry in talk.log() if entry.type is LogType.BOLUS_END]
    assert (end.cmd_id, end.details().delivered_nl, end.details().uncertain_nl) == (1, 9_500, 0)
    assert talk.granted(GetDelivery()).hour_used_nl == 9_500
    talk.wait(MS_PER_HOUR)
    assert talk.granted(GetDelivery()).hour_used_nl == 0
    talk.wait(MS_PER_DAY)
    assert talk.granted(GetDelivery()).day_used_nl == 0


def test_a_bolus_that_neither_ledger_nor_checkpoint_knows_counts_in_full_and_not_for_ever() -> None:
    talk = restarted(in_state("bolus"), Region.LEDGER, checkpoints=CHECKPOINT_OFFSETS)
    assert talk.granted(GetDelivery()).day_used_nl == 20_000
    talk.wait(MS_PER_DAY)
    assert talk.granted(GetDelivery()).day_used_nl == 0


@for_each("both", [False, True])
def test_a_stall_that_the_checkpoint_does_not_know_is_over_when_the_rotor_turns(both: bool) -> None:
    talk = in_state("running").fork()
    talk.pump.stall_motor(True)
    while not is_active(talk, AlarmId.MOTOR_STALL):
        talk.wait(MS_PER_S)
    damaged = CHECKPOINT_OFFSETS if both else (newest_checkpoint(talk),)
    talk = restarted(talk, checkpoints=damaged)
    assert is_active(talk, AlarmId.MOTOR_STALL)
    talk.pump.stall_motor(False)
    talk.wait(MS_PER_DAY)
    assert not is_active(talk, AlarmId.MOTOR_STALL)


@for_each("lost", [{Region.SERVICE}, {Region.SERVICE, Region.THERAPY}, {Region.SERVICE, Region.WALL_CLOCK}])
def test_a_pump_past_its_end_stays_there_whatever_is_lost_of_its_life(lost: set[Region]) -> None:
    talk = restarted(in_state("ended"), *lost)
    turned = talk.pump.truth().strokes_turned
    talk.wait(MS_PER_DAY)
    assert talk.granted(GetStatus()).state is State.EOS
    assert talk.granted(GetReservoir()).battery_phase is BatteryPhase.EOS
    assert talk.pump.truth().strokes_turned == turned


def test_the_countdown_to_the_end_does_not_begin_anew_when_its_record_is_lost() -> None:
    base = Conversation.with_new_pump(profile_of(battery_capacity_mah=100))
    while not is_active(base, AlarmId.ERI):
        base.wait(MS_PER_DAY)
    (begun,) = [entry for entry in base.log() if entry.type is LogType.ERI]
    assert begun.t_mono_s % 86_400 == 0, "the voltage is looked at once a day"
    talk = base.fork()
    talk.wait(10 * MS_PER_DAY)
    talk = restarted(talk, Region.SERVICE)
    talk.wait(85 * MS_PER_DAY)
    (ended,) = [entry for entry in talk.log() if entry.type is LogType.EOS]
    assert ended.t_mono_s - begun.t_mono_s <= 90 * 86_400
    assert [entry.type for entry in talk.log()].count(LogType.ERI) == 1


def test_an_acknowledged_alarm_that_lasts_is_no_damage_to_the_memory() -> None:
    talk = Conversation.with_new_pump(
        profile_of(wall_at_start_s=826_000_000, service_life_months=3, eri_to_eos_days=80)
    )
    talk.wait_until(20 * MS_PER_DAY)
    row = next(row for row in talk.granted(GetAlarms()).alarms if row.alarm_id is AlarmId.ERI)
    assert talk.granted(AlarmAck(AlarmId.ERI, row.on_seq)).still_active
    before = talk.granted(GetAlarms()).alarms
    talk = restarted(talk)
    after = talk.granted(GetAlarms()).alarms
    assert [row for row in before if row.alarm_id is AlarmId.ERI] == [
        row for row in after if row.alarm_id is AlarmId.ERI
    ]
    assert not {row.alarm_id for row in after} & {AlarmId.MEM_CRITICAL, AlarmId.MEM_NONCRITICAL}


@for_each("state", STATES)
def test_acknowledged_alarms_of_each_state_stay_acknowledged_over_a_power_cut(state: str) -> None:
    talk = in_state(state).fork()
    for row in talk.granted(GetAlarms()).alarms:
        talk.granted(AlarmAck(row.alarm_id, row.on_seq))
    lasting = {row.alarm_id: row.on_seq for row in talk.granted(GetAlarms()).alarms}
    unlatched = talk.granted(GetStatus()).alarm_latched
    talk = restarted(talk)
    again = {row.alarm_id: row.on_seq for row in talk.granted(GetAlarms()).alarms}
    of_a_restart = {
        AlarmId.RESET,
        AlarmId.WALL_INVALID,
        AlarmId.BOLUS_PARTIAL,
    }  # of the bolus that power ended
    assert {alarm: seq for alarm, seq in again.items() if alarm not in of_a_restart} == {
        alarm: seq for alarm, seq in lasting.items() if alarm not in of_a_restart
    }
    mask = ~sum(1 << alarm for alarm in of_a_restart)
    assert talk.granted(GetStatus()).alarm_latched & mask == unlatched & mask
