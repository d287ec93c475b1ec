"""Each alarm by its own cause: a pump in which it has just begun, how its condition ceases, and how it begins anew.

No cause is put into the controller: a reservoir runs low, a rotor is held, a battery's life ends, a cell of the memory
is turned. What else would sound beside it is acknowledged beforehand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from firmware_emu.controller.events import AlarmRaised
from firmware_emu.controller.memory.memory_map import LOG_SLOT_BYTES, MARK_OFFSET, PLACES, Region, log_ring
from firmware_emu.profile import Implant
from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR, MS_PER_MINUTE, MS_PER_S
from hil.campaign.conversation import Conversation, profile_of
from protocol.identifiers import CARD_KEY_ID, AlarmId, OnExpiry, RefillFlag, Role, StopReason, TimeSetReason
from protocol.link.development_keys import DEVELOPMENT_CARD, DeviceKey, development_key
from protocol.log.types import LogName
from protocol.messages.alarms import AlarmAck, GetAlarms
from protocol.messages.conversation import EndSession, Ping, SelfTest
from protocol.messages.keys import PairingOpen
from protocol.messages.log import LogStatus
from protocol.messages.program import ProgCommit
from protocol.messages.reading import GetStatus
from protocol.messages.reservoir import Refill
from protocol.messages.stop import Resume, Stop
from protocol.messages.time import TimeSet
from tests.support.pairing import as_key, bring_magnet

WALL_S = 826_000_000
CONCENTRATION = 500_000
SLOW = 24_000  # ng a day: 900 s a stroke, so that no reservoir runs out beside what is looked at
STOP_MAX_S = 172_800
SEVEN_YEARS_DAYS = 2_556
HIDDEN_BY_RESET_MS = 10_000
CARD = DeviceKey(CARD_KEY_ID, Role.OBSERVER, DEVELOPMENT_CARD, 0xF, development=True)
CELL_BIT = 0x40
"""Of the first byte of a record: its length no longer fits."""


class Cause(NamedTuple):
    """How an alarm comes about. None: it has no condition that could cease, or it begins once."""

    begin: Callable[..., Conversation]
    """Takes `before_ms`, how long before the alarm to stop, where it comes by time alone."""
    cease: Callable[[Conversation], object] | None
    again: Callable[[Conversation], object] | None
    hidden_ms: int = 0
    """For how long after its beginning the tone of something else is heard; `begin` ends behind it."""


def next_id(talk: Conversation) -> int:
    """A command id that no command had."""
    number: int = talk.granted(GetStatus()).last_cmd_id + 1
    return number


def leave(talk: Conversation) -> None:
    """End the session, so that what was silenced in it is silent no more."""
    talk.granted(EndSession())


def acknowledge(talk: Conversation, *but: AlarmId) -> None:
    """Acknowledge all that is listed, in the session that is open or a new one."""
    for row in talk.granted(GetAlarms()).alarms:
        if row.alarm_id not in but:
            talk.granted(AlarmAck(row.alarm_id, row.on_seq))


def until_alarm(talk: Conversation, alarm_id: AlarmId, limit_ms: int, before_ms: int = 0) -> Conversation:
    """Let time pass up to the millisecond at which this alarm begins, or to so long before it."""
    before = len(talk.trace)
    ahead = talk.fork()
    ahead.wait(limit_ms)
    began = [
        now.pump_ms
        for now, event in ahead.trace[before:]
        if isinstance(event, AlarmRaised) and event.alarm_id is alarm_id
    ]
    assert began, f"{alarm_id.name} does not come within {limit_ms} ms"
    talk.wait_until(began[0] - before_ms)
    return talk


def stay(talk: Conversation, until_ms: int) -> None:
    """Let time pass in a session that is kept open."""
    while talk.now_ms < until_ms:
        talk.wait_until(min(until_ms, talk.now_ms + MS_PER_MINUTE))
        if talk.now_ms < until_ms:
            talk.ask(Ping())


def restart(talk: Conversation) -> None:
    """Take the power away and give it back at once."""
    talk.pump.cut_power()
    talk.pump.restore_power()
    talk.wait(0)


def new_pump(
    filled_nl: int = 18_000_000, dose: int = SLOW, wall_s: int | None = WALL_S, **more: int
) -> Conversation:
    """A pump at work for an hour."""
    implant = Implant(
        filled_nl=filled_nl, dose_ng_per_day=dose, implant_days_ago=more.pop("implant_days_ago", 0)
    )
    return Conversation.with_new_pump(profile_of(implant=implant, wall_at_start_s=wall_s, **more))


def flip(talk: Conversation, offset: int) -> None:
    """Turn one bit of the memory."""
    flash = talk.pump.plant.flash
    flash.load([(offset, bytes([flash.read(offset, 1)[0] ^ CELL_BIT]))])


def flip_in_log(talk: Conversation) -> None:
    """Damage the first entry of the main log, or mend it again."""
    flip(talk, log_ring(LogName.MAIN, talk.pump.profile.model.log_capacity).offset + LOG_SLOT_BYTES - 12)


def refill(talk: Conversation, filled_nl: int, low_alarm_nl: int) -> None:
    talk.granted(Refill(next_id(talk), 0, filled_nl, 1, RefillFlag(0), CONCENTRATION, low_alarm_nl))


def fill_up(talk: Conversation) -> None:
    refill(talk, 18_000_000, 2_000_000)


def resume(talk: Conversation) -> None:
    talk.granted(Resume(next_id(talk), talk.granted(GetStatus()).program_rev))


def stop(talk: Conversation, max_stop_s: int) -> None:
    talk.granted(Stop(next_id(talk), max_stop_s, StopReason.CLINICAL, OnExpiry.ALARM_ONLY))


def program_anew(talk: Conversation) -> None:
    status = talk.granted(GetStatus())
    crc = talk.stage(SLOW, CONCENTRATION, base_rev=status.program_rev).staged_crc
    talk.granted(ProgCommit(next_id(talk), status.program_rev, crc, start=True))


# LOW_RESERVOIR and EMPTY


def low(before_ms: int = 0) -> Conversation:
    return until_alarm(new_pump(2_010_000), AlarmId.LOW_RESERVOIR, 2 * MS_PER_DAY, before_ms)


def low_again(talk: Conversation) -> Conversation:
    refill(talk, 2_010_000, 2_000_000)
    leave(talk)
    return until_alarm(talk, AlarmId.LOW_RESERVOIR, 2 * MS_PER_DAY)


def empty(before_ms: int = 0) -> Conversation:
    talk = new_pump()
    refill(talk, 10_000, 9_000)
    return empty_after_low(talk, before_ms)


def empty_after_low(talk: Conversation, before_ms: int = 0) -> Conversation:
    until_alarm(talk, AlarmId.LOW_RESERVOIR, 2 * MS_PER_DAY)
    talk.wait(MS_PER_S * 10)
    acknowledge(talk)
    leave(talk)
    return until_alarm(talk, AlarmId.EMPTY, 2 * MS_PER_DAY, before_ms)


def empty_again(talk: Conversation) -> Conversation:
    refill(talk, 10_000, 9_000)
    return empty_after_low(talk)


# The motor


def stalled(before_ms: int = 0) -> Conversation:
    talk = new_pump(dose=300_000)
    talk.wait(MS_PER_HOUR)
    return stalled_again(talk, before_ms)


def stalled_again(talk: Conversation, before_ms: int = 0) -> Conversation:
    talk.pump.stall_motor(True)
    return until_alarm(talk, AlarmId.MOTOR_STALL, MS_PER_DAY, before_ms)


def let_turn(talk: Conversation) -> None:
    talk.pump.stall_motor(False)


def tube_set(before_ms: int = 0) -> Conversation:
    talk = new_pump()
    talk.wait(MS_PER_HOUR)
    return stand(talk, before_ms)


def tube_set_again(talk: Conversation) -> Conversation:
    resume(talk)
    return stand(talk)


def stand(talk: Conversation, before_ms: int = 0) -> Conversation:
    """Two stops with less than a stroke between them: neither lasts 48 h, and the rotor stands for as long."""
    until_stroke(talk)
    stop(talk, STOP_MAX_S)
    leave(talk)
    talk.wait(47 * MS_PER_HOUR)
    resume(talk)
    talk.wait(10 * MS_PER_S)
    stop(talk, STOP_MAX_S)
    leave(talk)
    return until_alarm(talk, AlarmId.TUBE_SET, 2 * MS_PER_HOUR, before_ms)


# Stops


def stopped_too_long(before_ms: int = 0) -> Conversation:
    talk = new_pump()
    talk.wait(MS_PER_HOUR)
    return stopped_too_long_again(talk, before_ms)


def stopped_too_long_again(talk: Conversation, before_ms: int = 0) -> Conversation:
    """Renewed after 40 h, so that it does not expire too; TUBE_SET comes before, since the rotor stood for longer."""
    until_stroke(talk)
    talk.wait(10 * MS_PER_MINUTE)
    stop(talk, STOP_MAX_S)
    leave(talk)
    talk.wait(40 * MS_PER_HOUR)
    stop(talk, STOP_MAX_S)
    leave(talk)
    until_alarm(talk, AlarmId.TUBE_SET, 9 * MS_PER_HOUR)
    talk.wait(10 * MS_PER_S)
    acknowledge(talk)
    leave(talk)
    return until_alarm(talk, AlarmId.STOPPED_TOO_LONG, MS_PER_HOUR, before_ms)


def until_stroke(talk: Conversation) -> None:
    """Wait for the next stroke: what the rotor stands for and what the stop lasts are then the same."""
    turned = talk.pump.truth().strokes_turned
    while talk.pump.truth().strokes_turned == turned:
        talk.wait(MS_PER_S)


def stop_expired(before_ms: int = 0) -> Conversation:
    talk = new_pump()
    talk.wait(MS_PER_HOUR)
    return stop_expired_again(talk, before_ms)


def stop_expired_again(talk: Conversation, before_ms: int = 0) -> Conversation:
    stop(talk, 3_600)
    leave(talk)
    return until_alarm(talk, AlarmId.STOP_EXPIRED, 2 * MS_PER_HOUR, before_ms)


# The end of the service life


def eri(before_ms: int = 0) -> Conversation:
    talk = new_pump(implant_days_ago=SEVEN_YEARS_DAYS - 92, battery_capacity_mah=5_000)
    return until_alarm(talk, AlarmId.ERI, 5 * MS_PER_DAY, before_ms)


def eos(before_ms: int = 0) -> Conversation:
    talk = new_pump(implant_days_ago=SEVEN_YEARS_DAYS - 2, battery_capacity_mah=5_000)
    talk.wait(10_000)
    acknowledge(talk)
    leave(talk)
    return until_alarm(talk, AlarmId.EOS, 5 * MS_PER_DAY, before_ms)


# Memory, reset, clock, random source, keys


def log_damaged() -> Conversation:
    talk = new_pump()
    talk.wait(MS_PER_HOUR)
    return log_damaged_again(talk)


def log_damaged_again(talk: Conversation) -> Conversation:
    flip_in_log(talk)
    talk.granted(LogStatus(LogName.MAIN))
    leave(talk)
    return talk


def mend_log(talk: Conversation) -> None:
    """A technician's self-test of the pump, which stands, finds the log whole."""
    flip_in_log(talk)
    stop(talk, 3_600)
    leave(talk)
    technician = Conversation(talk.pump, Role.SERVICE)
    assert not technician.granted(SelfTest()).failed
    technician.granted(EndSession())
    resume(talk)


def program_damaged() -> Conversation:
    talk = new_pump(wall_s=None)
    talk.wait(MS_PER_HOUR)
    return program_damaged_again(talk)


def program_damaged_again(talk: Conversation) -> Conversation:
    talk.pump.cut_power()
    flip(talk, PLACES[Region.PROGRAM].offset)
    talk.pump.restore_power()
    talk.wait(0)
    return talk


def reset() -> Conversation:
    talk = new_pump(wall_s=None)
    talk.wait(MS_PER_HOUR)
    return reset_again(talk)


def reset_again(talk: Conversation) -> Conversation:
    restart(talk)
    return talk


def bolus_partial() -> Conversation:
    talk = new_pump()
    return bolus_partial_again(talk)


def bolus_partial_again(talk: Conversation) -> Conversation:
    talk.wait(MS_PER_HOUR)
    return interrupt_bolus(talk)


def interrupt_bolus(talk: Conversation) -> Conversation:
    """Begin a bolus that a stop ends after five minutes; the pump runs again at once."""
    talk.start_bolus(next_id(talk), 20_000, 600, talk.granted(GetStatus()).program_rev)
    leave(talk)
    talk.wait(5 * MS_PER_MINUTE)
    stop(talk, 3_600)
    resume(talk)
    leave(talk)
    return talk


def clock_invalid() -> Conversation:
    talk = new_pump()
    talk.wait(MS_PER_HOUR)
    return clock_invalid_again(talk)


def clock_invalid_again(talk: Conversation) -> Conversation:
    """The reset with which it comes is acknowledged some seconds later, and is silent from then on."""
    restart(talk)
    talk.wait(HIDDEN_BY_RESET_MS)
    acknowledge(talk, AlarmId.WALL_INVALID)
    leave(talk)
    return talk


def set_clock(talk: Conversation) -> None:
    talk.granted(TimeSet(next_id(talk), WALL_S + 900_000, 0, TimeSetReason.DRIFT, confirm=True))


def restart_and_acknowledge(talk: Conversation) -> None:
    """Restart, and acknowledge at once what a restart itself raises."""
    restart(talk)
    acknowledge(talk)
    leave(talk)


def random_source_stuck() -> Conversation:
    """Somebody greets the pump twice while its random source gives zeros; then it gives good numbers again.

    No session opens any more until the pump starts anew, so nobody can acknowledge it.
    """
    talk = new_pump()
    talk.wait(MS_PER_HOUR)
    talk.pump.inject("entropy-stuck", {})
    for _ in range(2):
        other = Conversation(talk.pump)
        other.client.open(talk.now_ms)
        other._exchange()
    talk.pump.clear("entropy-stuck")
    return talk


def key_recovered() -> Conversation:
    talk = new_pump()
    talk.wait(MS_PER_HOUR)
    return key_recovered_again(talk)


def key_recovered_again(talk: Conversation) -> Conversation:
    """Somebody asks to pair a key with the implant card and a magnet alone."""
    talk.wait(2 * MS_PER_HOUR)  # an earlier recovery is over
    as_key(talk, CARD)
    bring_magnet(talk)
    talk.granted(PairingOpen())
    as_key(talk, development_key(Role.CLINICIAN))
    return talk


def code_damaged(before_ms: int = 0) -> Conversation:
    """A bit of the code turns, and the test of an hour finds it."""
    talk = new_pump(wall_s=None)
    talk.wait(MS_PER_HOUR)
    return code_damaged_again(talk, before_ms)


def code_damaged_again(talk: Conversation, before_ms: int = 0) -> Conversation:
    talk.pump.inject("code-flip", {"bit": 5})
    return until_alarm(talk, AlarmId.SELF_TEST, 2 * MS_PER_HOUR, before_ms)


def mend_code(talk: Conversation) -> None:
    """A start that finds the code whole; the reset itself is acknowledged at once."""
    talk.pump.clear("code-flip")
    restart(talk)
    acknowledge(talk, AlarmId.MEM_NONCRITICAL)
    leave(talk)


def mark_stuck() -> Conversation:
    """The page with the journal's mark takes nothing any more, which the next change finds."""
    talk = new_pump(wall_s=None)
    talk.wait(MS_PER_HOUR)
    return mark_stuck_again(talk)


def mark_stuck_again(talk: Conversation) -> Conversation:
    talk.pump.inject("stuck-page", {"offset_bytes": MARK_OFFSET})
    talk.granted(LogStatus(LogName.MAIN))
    leave(talk)
    return talk


def mend_mark(talk: Conversation) -> None:
    """A start on a memory that takes what is written; the reset itself is acknowledged at once."""
    talk.pump.clear("stuck-page")
    restart(talk)
    acknowledge(talk, AlarmId.MEM_NONCRITICAL)
    leave(talk)


CAUSES: dict[AlarmId, Cause] = {
    AlarmId.LOW_RESERVOIR: Cause(low, fill_up, low_again),
    AlarmId.EMPTY: Cause(empty, fill_up, empty_again),
    AlarmId.MOTOR_STALL: Cause(stalled, let_turn, stalled_again),
    AlarmId.STOPPED_TOO_LONG: Cause(stopped_too_long, resume, stopped_too_long_again),
    AlarmId.STOP_EXPIRED: Cause(stop_expired, resume, stop_expired_again),
    AlarmId.ERI: Cause(eri, None, None),
    AlarmId.EOS: Cause(eos, None, None),
    AlarmId.MEM_NONCRITICAL: Cause(log_damaged, mend_log, log_damaged_again),
    AlarmId.MEM_CRITICAL: Cause(program_damaged, program_anew, program_damaged_again),
    AlarmId.RESET: Cause(reset, program_anew, reset_again),
    AlarmId.BOLUS_PARTIAL: Cause(bolus_partial, None, bolus_partial_again),
    AlarmId.WALL_INVALID: Cause(clock_invalid, set_clock, clock_invalid_again, HIDDEN_BY_RESET_MS),
    AlarmId.RNG_FAILED: Cause(random_source_stuck, restart_and_acknowledge, None),
    AlarmId.KEY_RECOVERY: Cause(key_recovered, None, key_recovered_again),
    AlarmId.TUBE_SET: Cause(tube_set, None, tube_set_again),
    AlarmId.SELF_TEST: Cause(code_damaged, mend_code, code_damaged_again),
    AlarmId.NVM: Cause(mark_stuck, mend_mark, mark_stuck_again),
}
"""Every alarm that the pump raises by itself."""
