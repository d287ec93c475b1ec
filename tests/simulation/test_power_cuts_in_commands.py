"""Power goes in each memory write of each command, whole or torn: the command happened, or it did not.

What is looked at afterwards is what a programmer sees over the link, held against what is physically so.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import pytest

from firmware_emu.units import MS_PER_HOUR, MS_PER_MINUTE
from hil.campaign.conversation import Conversation, bridged, profile_of, simple_header
from protocol.identifiers import (
    Activity,
    AlarmFlag,
    AlarmId,
    BolusKind,
    ConfigId,
    OnExpiry,
    Outcome,
    ProgramSlot,
    RefillFlag,
    Role,
    State,
    StopReason,
    TimeSetReason,
)
from protocol.log.types import LogName, LogType
from protocol.messages.alarms import AlarmAck, GetAlarms
from protocol.messages.bolus import BolusCancel, BolusCommit, BolusPrepare, Prime
from protocol.messages.configuration import ConfigRead, ConfigWrite
from protocol.messages.keys import KeyRevoke, PairingOpen
from protocol.messages.ledger import QueryCmd, VoidCmd
from protocol.messages.log import LogStatus
from protocol.messages.program import GetProgram, ProgCommit, Segment
from protocol.messages.reading import GetDelivery, GetStatus
from protocol.messages.reservoir import GetReservoir, Refill
from protocol.messages.stop import Resume, Stop
from protocol.messages.time import GetTime, TimeSet
from tests.simulation.invariants import (
    assert_log_is_whole,
    assert_the_trace_tells_the_log,
    assert_volumes_agree,
)
from tests.support.pairing import key_add, listed, open_window
from tests.support.soak import part_of

CMD_ID = 7
WALL_S = 826_000_000


class Case(NamedTuple):
    """`prepared` leads up to the command and answers with it; without a `cmd_id` it goes through no ledger."""

    prepared: Callable[[Conversation], object]
    cmd_id: int | None = CMD_ID


def _bolus_commit(talk: Conversation) -> object:
    prepared = talk.granted(BolusPrepare(BolusKind.BOLUS, 10_000, 600, 1))
    return BolusCommit(CMD_ID, 10_000, 600, prepared.token, 1)


def _prime(talk: Conversation) -> object:
    talk.granted(Stop(1, 86_400, StopReason.CLINICAL))
    prepared = talk.granted(BolusPrepare(BolusKind.PRIME, 10_000, 600, 1))
    return Prime(CMD_ID, 10_000, 600, prepared.token, 1)


def _cancel(talk: Conversation) -> object:
    talk.start_bolus(1, 10_000, 600)
    talk.wait(5 * MS_PER_MINUTE)
    return BolusCancel(CMD_ID, 1, 0xFFFF)


def _stop(talk: Conversation) -> object:
    talk.start_bolus(1, 10_000, 600)
    talk.wait(5 * MS_PER_MINUTE)
    return Stop(CMD_ID, 3_600, StopReason.CLINICAL, OnExpiry.SAFE_RATE)


def _resume(talk: Conversation) -> object:
    talk.granted(Stop(1, 3_600, StopReason.CLINICAL))
    talk.wait(MS_PER_MINUTE)
    return Resume(CMD_ID, 1)


def _prog_commit(talk: Conversation) -> object:
    crc = talk.stage(400_000, 500_000, base_rev=1).staged_crc
    return ProgCommit(CMD_ID, 1, crc, start=True)


def _prog_commit_with_a_bridge(talk: Conversation) -> object:
    staged = bridged((simple_header(400_000, 500_000), (Segment(0, 800_000),)), 338_000, 700_000)
    return ProgCommit(CMD_ID, 1, talk.stage_program(*staged, base_rev=1).staged_crc, start=True)


def _refill_with_a_bridge(talk: Conversation) -> object:
    """In the middle of an earlier bridge."""
    staged = bridged((simple_header(300_000, 500_000), (Segment(0, 600_000),)), 338_000, 700_000)
    crc = talk.stage_program(*staged, base_rev=1).staged_crc
    talk.granted(ProgCommit(1, 1, crc, start=True))
    talk.wait(MS_PER_HOUR)
    staged = bridged((simple_header(400_000, 1_000_000, 2), (Segment(0, 400_000),)), 338_000, 600_000)
    crc = talk.stage_program(*staged, base_rev=2).staged_crc
    return Refill(CMD_ID, 0, 19_000_000, 2, RefillFlag.RINSED_TWICE, 1_000_000, 3_000_000, crc)


def _refill(talk: Conversation) -> object:
    return Refill(CMD_ID, 1_000_000, 19_000_000, 1, RefillFlag(0), 500_000, 3_000_000)


def _refill_with_program(talk: Conversation) -> object:
    crc = talk.stage(400_000, 1_000_000, base_rev=1, drug_id=2).staged_crc
    return Refill(CMD_ID, 0, 19_000_000, 2, RefillFlag.RINSED_TWICE, 1_000_000, 3_000_000, crc)


def _time_set(talk: Conversation) -> object:
    return TimeSet(CMD_ID, WALL_S + 500_000, 120, TimeSetReason.ZONE, confirm=True)


def _alarm_ack(talk: Conversation) -> object:
    talk.start_bolus(1, 10_000, 600)
    talk.wait(5 * MS_PER_MINUTE)
    talk.granted(BolusCancel(2, 1, 0xFFFF))
    seq = next(row.on_seq for row in talk.granted(GetAlarms()).alarms)
    return AlarmAck(AlarmId.BOLUS_PARTIAL, seq)


def _void(talk: Conversation) -> object:
    return VoidCmd(CMD_ID)


def _key_add(talk: Conversation) -> object:
    open_window(talk)
    return lambda late: key_add(late, 40, Role.CLINICIAN)  # wrapped for the very request that carries it


def _key_revoke(talk: Conversation) -> object:
    open_window(talk)
    return KeyRevoke(1)


def _config_number(talk: Conversation) -> object:
    return ConfigWrite(ConfigId.BOLUS_MAX_NL, (300_000).to_bytes(4, "little"))


def _config_text(talk: Conversation) -> object:
    return ConfigWrite(ConfigId.NOTES, b"from 2 March on")


def _config_date(talk: Conversation) -> object:
    return ConfigWrite(ConfigId.IMPLANT_WALL_S, (WALL_S - 86_400).to_bytes(4, "little"))


CASES = {
    "BOLUS_COMMIT": Case(_bolus_commit),
    "PRIME": Case(_prime),
    "BOLUS_CANCEL": Case(_cancel),
    "STOP": Case(_stop),
    "RESUME": Case(_resume),
    "PROG_COMMIT": Case(_prog_commit),
    "PROG_COMMIT with a bridge": Case(_prog_commit_with_a_bridge),
    "REFILL": Case(_refill),
    "REFILL with a bridge": Case(_refill_with_a_bridge),
    "REFILL with a program": Case(_refill_with_program),
    "TIME_SET": Case(_time_set),
    "ALARM_ACK": Case(_alarm_ack, cmd_id=None),
    "VOID_CMD": Case(_void),
    "KEY_ADD": Case(_key_add, cmd_id=None),
    "KEY_REVOKE": Case(_key_revoke, cmd_id=None),
    "CONFIG_WRITE of a number": Case(_config_number, cmd_id=None),
    "CONFIG_WRITE of a text": Case(_config_text, cmd_id=None),
    "CONFIG_WRITE of the implant": Case(_config_date, cmd_id=None),
}


@cache
def ready(name: str) -> tuple[Conversation, object]:
    """A pump at work for three hours, and the command about to be sent."""
    talk = Conversation.with_new_pump(profile_of(wall_at_start_s=WALL_S))
    talk.wait_until(3 * MS_PER_HOUR + 12_345)
    message = CASES[name].prepared(talk)
    talk.granted(GetStatus())  # so that a session is open
    return talk, message


class Seen(NamedTuple):
    """What a command may change, as a programmer reads it, but for what each restart changes."""

    state: State
    state_reason: int
    rate_nl_per_day: int
    bridge_left_nl: int
    program: object
    reservoir: object
    tz_minutes: int
    stopped_by: int | None
    stop_expires: bool
    acknowledged: frozenset[AlarmId]
    outcome: Outcome | None
    paired: frozenset[int]
    configured: tuple[bytes, ...]


def asked(talk: Conversation, message: object) -> Any:
    """The answer to a command, some of which can be made only as the next request of their session."""
    return talk.ask(message(talk) if callable(message) else message)


def seen(talk: Conversation, cmd_id: int | None) -> Seen:
    status = talk.granted(GetStatus())
    reservoir = talk.granted(GetReservoir())
    program = talk.granted(GetProgram(ProgramSlot.ACTIVE, 0))
    alarms = talk.granted(GetAlarms()).alarms
    latched = frozenset(row.alarm_id for row in alarms if row.flags & AlarmFlag.LATCHED)
    found = None if cmd_id is None else talk.granted(QueryCmd(cmd_id))
    return Seen(
        status.state,
        status.state_reason,
        status.rate_nl_per_day,
        status.bolus_left_nl if status.activity & Activity.BRIDGE else 0,
        (status.program_rev, program.crc, program.header),
        (reservoir.last_fill_nl, reservoir.last_aspirated_nl, reservoir.low_alarm_nl),
        status.tz_minutes,
        status.stopped_by,
        status.stop_expires_t_mono_s != 0,
        latched - {AlarmId.RESET, AlarmId.WALL_INVALID, AlarmId.BOLUS_PARTIAL}
        if cmd_id is not None
        else latched & {AlarmId.BOLUS_PARTIAL},
        None if found is None else found.outcome,
        _paired(talk),
        tuple(
            talk.granted(ConfigRead(config_id)).value
            for config_id in (ConfigId.NOTES, ConfigId.BOLUS_MAX_NL, ConfigId.IMPLANT_WALL_S)
        ),
    )


def _paired(talk: Conversation) -> frozenset[int]:
    """Ids of the paired keys, where a magnet lets us ask."""
    if not talk.pump.truth().magnet_near:
        return frozenset()
    talk.granted(PairingOpen())
    return frozenset(listed(talk))


def writes_of(name: str) -> list[int]:
    """Lengths of the memory writes of a command."""
    talk, message = ready(name)
    done = talk.fork()
    before = len(done.writes)
    asked(done, message)
    return [len(data) for _, data in done.writes[before:]]


def expected(name: str) -> tuple[Seen, Seen]:
    """Before and after the command, with a power cut between two steps in both cases."""
    talk, message = ready(name)
    before, after = talk.fork(), talk.fork()
    asked(after, message)
    for each in (before, after):
        each.pump.cut_power()
        each.pump.restore_power()
    return seen(before, CASES[name].cmd_id), seen(after, CASES[name].cmd_id)


def torn_at(length: int) -> set[int]:
    """Nothing landed, a byte, the greater part, all but a byte, all."""
    return {0, 1, length // 2, length - 1, length}


@pytest.mark.parametrize("name", CASES)
def test_a_cut_in_any_write_leaves_the_old_state_or_the_new(name: str) -> None:
    """Attack 5.2: power goes at each write of each command."""
    old, new = expected(name)
    if name not in ("BOLUS_COMMIT", "PRIME"):  # which change nothing but the ledger
        assert old != new
    talk, message = ready(name)
    lengths = writes_of(name)
    assert lengths
    happened = set()
    cuts = [(number, torn, length) for number, length in enumerate(lengths, 1) for torn in torn_at(length)]
    for number, torn, length in part_of(f"a cut in {name}", cuts, one_in=4):
        cut = talk.fork()
        before = cut.granted(GetStatus())
        cut.pump.plant.cut_at_write(number, torn)
        assert asked(cut, message) is None, "the answer left before the command was durable"
        assert cut.pump.powered, "a brown-out: power comes back at once"
        after = seen(cut, CASES[name].cmd_id)
        assert after in (old, new), f"write {number}, torn after {torn} of {length}"
        happened.add(after == new)
        _assert_sound(cut, before)
    assert happened == ({False, True} if old != new else {True})


def _assert_sound(talk: Conversation, before: Any) -> None:
    status = talk.granted(GetStatus())
    assert status.t_mono_s >= before.t_mono_s
    assert status.alarm_latched >> AlarmId.RESET & 1
    assert_log_is_whole(talk)
    assert_the_trace_tells_the_log(talk)
    assert_volumes_agree(talk)


@pytest.mark.parametrize("name", CASES)
def test_a_cut_in_the_restart_after_a_cut_changes_nothing_of_that(name: str) -> None:
    """The second cut falls in each write of the restart, and power stays away for an hour in between."""
    old, new = expected(name)
    talk, message = ready(name)
    middle = len(writes_of(name)) // 2 + 1
    first = talk.fork()
    before = first.granted(GetStatus())
    first.pump.inject("power-cut-at-write", {"writes": middle, "torn_after_bytes": 1})
    assert asked(first, message) is None
    first.wait(MS_PER_HOUR)
    counted = first.fork()
    counted.pump.restore_power()
    counted.wait(0)
    lengths = [len(data) for _, data in counted.writes[len(first.writes) :]]
    assert lengths
    for number, length in part_of(f"a second cut in {name}", enumerate(lengths, 1), one_in=4):
        again = first.fork()
        again.pump.inject("power-cut-at-write", {"writes": number, "torn_after_bytes": length // 2})
        again.pump.restore_power()
        assert not again.pump.powered
        again.wait(MS_PER_HOUR)
        again.pump.restore_power()
        assert seen(again, CASES[name].cmd_id) in (old, new)
        _assert_sound(again, before)
        status = again.granted(GetStatus())
        assert status.t_mono_s <= before.t_mono_s + 5, "time without power counted"


def test_a_bolus_whose_commit_was_cut_is_closed_and_not_a_drop_comes_later() -> None:
    talk, message = ready("BOLUS_COMMIT")
    for number in range(1, len(writes_of("BOLUS_COMMIT")) + 1):
        cut = talk.fork()
        cut.pump.plant.cut_at_write(number)
        assert asked(cut, message) is None
        found = cut.granted(QueryCmd(CMD_ID))
        assert found.outcome in (Outcome.NEVER_RECEIVED, Outcome.NOT_STARTED, Outcome.PARTIAL)
        assert found.delivered_nl == 0
        bolus_nl = cut.granted(GetDelivery()).bolus_nl
        cut.wait(MS_PER_HOUR)
        assert cut.granted(GetDelivery()).bolus_nl == bolus_nl == 0
        assert cut.granted(GetStatus()).bolus_cmd_id == 0


def test_the_pump_says_on_its_log_that_it_was_cut() -> None:
    talk = Conversation.with_new_pump(profile_of(wall_at_start_s=WALL_S))
    talk.wait_until(MS_PER_HOUR + 1)
    talk.pump.cut_power()
    talk.pump.restore_power()
    types = [entry.type for entry in talk.log()]
    at = types.index(LogType.RESET_BROWNOUT)
    marks = [LogType.BOOT, LogType.RESET_BROWNOUT, LogType.ALARM_ON, LogType.WALL_INVALID, LogType.ALARM_ON]
    assert types[at - 1 :] == marks
    assert talk.granted(GetTime(0)).boot_count == 2
    assert talk.granted(LogStatus(LogName.MAIN)).corrupt == 0
