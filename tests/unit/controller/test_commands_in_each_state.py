"""Which command is refused in which state, and with which word: the whole grid, over the link."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from firmware_emu.profile import EmptyPolicy, Implant
from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR
from hil.campaign.conversation import Conversation, factory_profile, profile_of
from protocol.identifiers import (
    AlarmId,
    BolusKind,
    ErrorCode,
    OnExpiry,
    Opcode,
    Outcome,
    RefillFlag,
    State,
    StopReason,
    TimeSetReason,
)
from protocol.log.types import BolusEndReason, LogName, LogType
from protocol.messages.bolus import BolusCancel, BolusPrepare
from protocol.messages.ledger import QueryCmd, VoidCmd
from protocol.messages.log import LogStatus
from protocol.messages.program import ProgCommit
from protocol.messages.reading import GetDelivery, GetStatus
from protocol.messages.reservoir import Refill
from protocol.messages.stop import Resume, Stop
from protocol.messages.time import TimeSet
from tests.support.for_each import for_each
from tests.support.requests import REQUESTS

WALL_S = 826_000_000


def _running() -> Conversation:
    talk = Conversation.with_new_pump(profile_of(wall_at_start_s=WALL_S))
    talk.wait_until(MS_PER_HOUR)
    return talk


def _bolus() -> Conversation:
    talk = _running()
    talk.start_bolus(1, 20_000, 600)
    return talk


def _stopped() -> Conversation:
    talk = _running()
    talk.granted(Stop(1, 3_600, StopReason.CLINICAL))
    return talk


def _safe_state() -> Conversation:
    talk = _running()
    talk.granted(Stop(1, 60, StopReason.CLINICAL, OnExpiry.SAFE_RATE))
    talk.wait(60_000)
    return talk


def _fault_stop() -> Conversation:
    talk = _safe_state()
    talk.granted(Stop(2, 3_600, StopReason.CLINICAL))
    return talk


def _ended() -> Conversation:
    talk = Conversation.with_new_pump(profile_of(wall_at_start_s=WALL_S, service_life_months=1))
    talk.wait_until(32 * MS_PER_DAY)
    return talk


def _new() -> Conversation:
    return Conversation.with_new_pump(factory_profile())


def _stalled() -> Conversation:
    talk = _running()
    talk.pump.stall_motor(True)
    talk.wait(MS_PER_HOUR)
    return talk


def _empty(policy: EmptyPolicy) -> Conversation:
    talk = Conversation.with_new_pump(profile_of(implant=Implant(filled_nl=2_100_000), empty_policy=policy))
    talk.wait_until(100 * MS_PER_HOUR)
    return talk


STATES: dict[str, tuple[Callable[[], Conversation], State]] = {
    "running": (_running, State.RUN),
    "bolus": (_bolus, State.RUN),
    "stopped": (_stopped, State.STOP),
    "safe": (_safe_state, State.SAFE_STATE),
    "fault": (_fault_stop, State.FAULT_STOP),
    "ended": (_ended, State.EOS),
    "new": (_new, State.STOP),
    "stalled": (_stalled, State.RUN),
    "empty": (lambda: _empty(EmptyPolicy.MINIMUM_RATE), State.SAFE_STATE),
    "empty stop": (lambda: _empty(EmptyPolicy.STOP), State.STOP),
    "empty continue": (lambda: _empty(EmptyPolicy.CONTINUE), State.RUN),
}


@cache
def in_state(name: str) -> Conversation:
    return STATES[name][0]()


def _prepare(talk: Conversation, rev: int) -> object:
    return BolusPrepare(BolusKind.BOLUS, 10_000, 600, rev)


def _resume(talk: Conversation, rev: int) -> object:
    return Resume(9, rev)


def _refill(talk: Conversation, rev: int) -> object:
    return Refill(9, 0, 18_000_000, 1, RefillFlag(0), 500_000, 2_000_000)


def _set_time(talk: Conversation, rev: int) -> object:
    return TimeSet(9, WALL_S, 60, TimeSetReason.DRIFT, confirm=True)


def _prog_commit(talk: Conversation, rev: int, *, start: bool) -> object:
    crc = talk.stage(400_000, 500_000, base_rev=rev).staged_crc
    return ProgCommit(9, rev, crc, start=start)


COMMANDS: dict[str, Callable[[Conversation, int], object]] = {
    "PREPARE": _prepare,
    "PROG_COMMIT start": lambda talk, rev: _prog_commit(talk, rev, start=True),
    "PROG_COMMIT": lambda talk, rev: _prog_commit(talk, rev, start=False),
    "RESUME": _resume,
    "REFILL": _refill,
    "TIME_SET": _set_time,
}
E = ErrorCode
REFUSED = {
    "PREPARE": {
        "bolus": E.BOLUS_ACTIVE,
        "stopped": E.STOPPED,
        "safe": E.SAFE_STATE,
        "fault": E.SAFE_STATE,
        "ended": E.EOS,
        "new": E.STOPPED,
        "stalled": E.ALARM_BLOCKS,
        "empty": E.SAFE_STATE,
        "empty stop": E.STOPPED,
        "empty continue": E.ALARM_BLOCKS,
    },
    "PROG_COMMIT start": {
        "bolus": E.BOLUS_ACTIVE,
        "ended": E.EOS,
        "new": E.CONC,  # nobody has said yet what is in the reservoir
        "empty": E.ALARM_BLOCKS,
        "empty stop": E.ALARM_BLOCKS,
    },
    "PROG_COMMIT": {"bolus": E.BOLUS_ACTIVE, "ended": E.EOS, "new": E.CONC},
    "RESUME": {
        "safe": E.SAFE_STATE,
        "fault": E.SAFE_STATE,
        "ended": E.EOS,
        "new": E.NO_STAGED,
        "empty": E.SAFE_STATE,
        "empty stop": E.ALARM_BLOCKS,
    },
    "REFILL": {"ended": E.EOS},
    "TIME_SET": {"ended": E.EOS},
}


@for_each("state", STATES)
def test_each_state_is_what_it_says(state: str) -> None:
    assert in_state(state).fork().granted(GetStatus()).state is STATES[state][1]


@for_each("state", STATES)
@for_each("command", COMMANDS)
def test_a_command_in_a_state(command: str, state: str) -> None:
    talk = in_state(state).fork()
    before = talk.granted(GetStatus())
    message = COMMANDS[command](talk, before.program_rev)
    code = talk.code(message)
    assert code is REFUSED[command].get(state)
    if code is not None and command != "PREPARE":
        after = talk.granted(GetStatus())
        assert (after.state, after.program_rev, after.last_cmd_id) == (
            before.state,
            before.program_rev,
            before.last_cmd_id,
        )
        entry = talk.log()[-1]
        assert (entry.type, entry.details().code) == (LogType.CMD_REFUSED, code)


READING = (
    Opcode.GET_STATUS,
    Opcode.GET_INFO,
    Opcode.GET_LIMITS,
    Opcode.GET_TIME,
    Opcode.GET_PROGRAM,
    Opcode.GET_DELIVERY,
    Opcode.GET_LINK_STATS,
    Opcode.GET_ALARMS,
    Opcode.GET_RESERVOIR,
    Opcode.QUERY_CMD,
    Opcode.LOG_READ,
    Opcode.LOG_STATUS,
    Opcode.PING,
    Opcode.PROG_ABORT,
)


@for_each("state", STATES)
def test_reading_is_never_refused(state: str) -> None:
    talk = in_state(state).fork()
    for message in (*(REQUESTS[opcode] for opcode in READING), VoidCmd(77), LogStatus(LogName.SECURITY)):
        assert talk.code(message) is None, message


AFTER_STOP = {State.RUN: State.STOP, State.SAFE_STATE: State.FAULT_STOP}


@for_each("state", STATES)
@for_each("cmd_id", [0, 1, 500, 0xFFFF_FFFF])
def test_stop_and_cancel_act_in_every_state_whatever_their_id(state: str, cmd_id: int) -> None:
    talk = in_state(state).fork()
    before = talk.granted(GetStatus())
    cancelled = talk.granted(BolusCancel(cmd_id, 0, 0xFFFF))
    assert talk.granted(GetStatus()).bolus_cmd_id == 0
    assert cancelled.result.dup == (cmd_id in {0, 0xFFFF_FFFF} or cmd_id <= before.last_cmd_id)
    stopped = talk.granted(Stop(cmd_id, 600, StopReason.OVERDOSE))
    assert stopped.state is AFTER_STOP.get(before.state, before.state)
    after = talk.granted(GetStatus())
    assert (after.state, after.rate_nl_per_day, after.bolus_cmd_id) == (stopped.state, 0, 0)
    turned = talk.pump.truth().strokes_turned
    talk.wait(MS_PER_DAY)
    assert talk.pump.truth().strokes_turned == turned


def test_a_stop_ends_a_bolus_and_it_does_not_come_back_with_the_therapy() -> None:
    talk = in_state("bolus").fork()
    talk.wait(299_999)
    talk.granted(Stop(2, 600, StopReason.CLINICAL))
    found = talk.granted(QueryCmd(1))
    assert (found.outcome, found.delivered_nl, found.uncertain_nl) == (Outcome.PARTIAL, 9_500, 0)
    ends = [entry.details().reason for entry in talk.log() if entry.type is LogType.BOLUS_END]
    assert ends == [BolusEndReason.STOP]
    turned = talk.pump.truth().strokes_turned
    talk.wait(MS_PER_HOUR)
    assert talk.pump.truth().strokes_turned == turned
    talk.granted(Resume(3, 1))
    talk.wait(MS_PER_DAY)
    assert talk.granted(GetDelivery()).bolus_nl == 9_500


def test_a_stop_that_expires_does_not_start_therapy_on_a_reservoir_believed_empty() -> None:
    for policy, wanted in (
        (EmptyPolicy.MINIMUM_RATE, (State.SAFE_STATE, 6_000)),
        (EmptyPolicy.STOP, (State.STOP, 0)),
        (EmptyPolicy.CONTINUE, (State.RUN, 600_000)),
    ):
        talk = Conversation.with_new_pump(profile_of(empty_policy=policy))
        talk.granted(Stop(1, 600, StopReason.REFILL, OnExpiry.RESUME))
        talk.granted(Refill(2, 18_000_000, 0, 1, RefillFlag(0), 500_000, 0))
        talk.wait(600_000)
        status = talk.granted(GetStatus())
        assert (status.state, status.rate_nl_per_day) == wanted
        assert status.alarm_active >> AlarmId.EMPTY & 1


def test_what_an_empty_reservoir_did_a_refill_takes_back() -> None:
    talk = in_state("empty").fork()
    talk.granted(Refill(1, 0, 18_000_000, 1, RefillFlag(0), 500_000, 2_000_000))
    status = talk.granted(GetStatus())
    assert (status.state, status.rate_nl_per_day, status.alarm_active) == (State.RUN, 600_000, 0)
