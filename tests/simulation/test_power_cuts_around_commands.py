"""Power goes in each memory write of what leaves nothing but log entries; and no command writes that is not tested.

Together with `test_power_cuts_in_commands` this is every write that a client can cause.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from firmware_emu.controller.commands.table import HANDLERS
from firmware_emu.units import MS_PER_HOUR
from hil.campaign.conversation import Conversation, profile_of, simple_header
from protocol.identifiers import (
    AlarmClass,
    BolusKind,
    ConfigId,
    ErrorCode,
    EventFlag,
    Opcode,
    ProgramSlot,
    Role,
    StopReason,
)
from protocol.log.types import LogName
from protocol.messages.alarms import AlarmTest, GetAlarms
from protocol.messages.bolus import BolusPrepare
from protocol.messages.configuration import ConfigRead
from protocol.messages.conversation import EndSession, GetLinkStats, Ping, SelfTest, Subscribe
from protocol.messages.keys import KeyList, PairingOpen
from protocol.messages.ledger import QueryCmd
from protocol.messages.log import LogRead, LogStatus
from protocol.messages.program import GetProgram, ProgAbort, ProgBegin, ProgVerify, ProgWrite, Segment
from protocol.messages.reading import GetDelivery, GetInfo, GetLimits, GetStatus
from protocol.messages.reservoir import GetReservoir
from protocol.messages.stop import Stop
from protocol.messages.time import GetTime
from protocol.registry import command_of
from tests.simulation.invariants import assert_log_is_whole, assert_volumes_agree
from tests.simulation.test_power_cuts_in_commands import CASES, WALL_S, seen
from tests.support.pairing import bring_magnet

WRITES_AT_LEAST = 4  # journal, record, log slot, mark
TOO_FAST = BolusPrepare(BolusKind.BOLUS, 20_000, 1, 1)
NO_WRITES = (
    GetStatus(),
    GetInfo(),
    GetLimits(),
    GetTime(0),
    GetProgram(ProgramSlot.ACTIVE, 0),
    GetDelivery(),
    GetLinkStats(clear=True),
    GetAlarms(),
    GetReservoir(),
    QueryCmd(1),
    LogRead(LogName.MAIN, 0, 0, 6),
    LogStatus(LogName.MAIN),
    ConfigRead(ConfigId.BOLUS_MAX_NL),
    PairingOpen(),
    KeyList(),
    Ping(),
    Subscribe(EventFlag.STATE),
    BolusPrepare(BolusKind.BOLUS, 20_000, 600, 1),
    ProgBegin(1, simple_header(400_000, 500_000)),
    ProgWrite(0, (Segment(0, 800_000),)),
    ProgVerify(),
)


def at_work(role: Role = Role.CLINICIAN) -> Conversation:
    """A pump at work for three hours, and a client with a session open."""
    talk = Conversation.with_new_pump(profile_of(wall_at_start_s=WALL_S))
    talk.wait_until(3 * MS_PER_HOUR + 12_345)
    other = Conversation(talk.pump, role)
    other.open()
    return other


def stopped_for_service() -> Conversation:
    """A stopped pump, and a technician with a session open."""
    talk = at_work()
    talk.granted(Stop(1, 600, StopReason.CLINICAL))
    technician = Conversation(talk.pump, Role.SERVICE)
    talk.granted(EndSession())
    technician.open()
    return technician


def staged() -> Conversation:
    talk = at_work()
    talk.stage(400_000, 500_000, base_rev=1)
    return talk


def without_session() -> Conversation:
    talk = at_work()
    talk.granted(EndSession())
    return talk


def refused_for_role(talk: Conversation) -> object:
    answer = talk.ask(Stop(1, 60, StopReason.CLINICAL))
    assert answer is None or answer.code is ErrorCode.ROLE
    return answer


LOGGED_ONLY: dict[str, tuple[Callable[[], Conversation], Callable[[Conversation], Any]]] = {
    "PROG_ABORT": (staged, lambda talk: talk.ask(ProgAbort())),
    "END_SESSION": (at_work, lambda talk: talk.ask(EndSession())),
    "ALARM_TEST": (at_work, lambda talk: talk.ask(AlarmTest(AlarmClass.CRITICAL))),
    "SELF_TEST": (stopped_for_service, lambda talk: talk.ask(SelfTest())),
    "a refused bolus": (at_work, lambda talk: talk.ask(TOO_FAST)),
    "a role that may not": (lambda: at_work(Role.OBSERVER), refused_for_role),
    "a session that opens": (without_session, lambda talk: talk.open()),
    "a session that takes over": (staged, lambda talk: Conversation(talk.pump).open()),
}


def therapy_of(talk: Conversation) -> object:
    """What a clinician would find, without what belongs to a command's id."""
    return seen(Conversation(talk.pump), None)


@pytest.mark.parametrize("torn_after_bytes", [0, 1, 20, 10_000])
@pytest.mark.parametrize("name", LOGGED_ONLY)
def test_a_cut_in_what_is_only_logged_changes_no_therapy(name: str, torn_after_bytes: int) -> None:
    prepare, act = LOGGED_ONLY[name]
    talk = prepare()
    untouched = talk.fork()
    untouched.pump.cut_power()
    untouched.pump.restore_power()
    expected = therapy_of(untouched)
    for number in count(1):
        cut = talk.fork()
        before = cut.pump.belief()
        assert before is not None
        cut.pump.plant.cut_at_write(number, torn_after_bytes)
        act(cut)
        if cut.pump.plant.flash.cut is not None:  # there are fewer writes than that
            assert number > WRITES_AT_LEAST
            break
        belief = cut.pump.belief()
        assert belief is not None
        assert belief.boot_count == before.boot_count + 1
        assert belief.tick_ms >= before.tick_ms
        assert therapy_of(cut) == expected, f"write {number}"
        assert_log_is_whole(Conversation(cut.pump))
        assert_volumes_agree(Conversation(cut.pump))


def test_every_command_that_writes_has_its_power_cuts() -> None:
    talk = staged()
    bring_magnet(talk)
    before = len(talk.writes)
    for message in NO_WRITES:
        talk.granted(message)
    assert len(talk.writes) == before
    silent = {command_of(type(message)).opcode for message in NO_WRITES}
    logged = {name for name in LOGGED_ONLY if name in Opcode.__members__}
    cut = {Opcode[name.split()[0]] for name in (*CASES, *logged)} | {
        Opcode.PATIENT_BOLUS
    }  # test_patient_boluses
    assert silent | cut == set(HANDLERS)
    assert not silent & cut
