"""A pump as it left the factory: whatever is done to it first, in any order, survives a power cut as it was."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

from firmware_emu.units import MS_PER_DAY
from hil.campaign.conversation import Conversation
from protocol.identifiers import AlarmId, BolusKind, OnExpiry, RefillFlag, StopReason, TimeSetReason
from protocol.messages.bolus import BolusCancel, BolusCommit, BolusPrepare
from protocol.messages.ledger import OWN_KEY
from protocol.messages.program import ProgCommit
from protocol.messages.reading import GetStatus
from protocol.messages.reservoir import Refill
from protocol.messages.stop import Resume, Stop
from protocol.messages.time import TimeSet
from tests.support.for_each import for_each
from tests.unit.controller.test_commands_in_each_state import in_state
from tests.unit.controller.test_damage_in_each_state import check_that_records_agree, restarted

if TYPE_CHECKING:
    from collections.abc import Callable

KEPT = (
    "state",
    "state_reason",
    "mode",
    "rate_nl_per_day",
    "program_rev",
    "stopped_by",
    "stop_expires_t_mono_s",
    "last_cmd_id",
)
OF_A_RESTART = 1 << AlarmId.RESET | 1 << AlarmId.WALL_INVALID


def status(talk: Conversation) -> Any:
    return talk.granted(GetStatus())


def next_id(talk: Conversation) -> int:
    return int(status(talk).last_cmd_id) + 1


def stop(talk: Conversation) -> None:
    talk.ask(Stop(next_id(talk), 3_600, StopReason.CLINICAL, OnExpiry.SAFE_RATE))


def stop_and_resume_later(talk: Conversation) -> None:
    talk.ask(Stop(next_id(talk), 600, StopReason.CLINICAL, OnExpiry.RESUME))


def refill(talk: Conversation) -> None:
    talk.ask(Refill(next_id(talk), 0, 18_000_000, 1, RefillFlag(0), 500_000, 2_000_000))


def program(talk: Conversation, *, start: bool = False) -> None:
    rev = status(talk).program_rev
    crc = talk.stage(300_000, 500_000, base_rev=rev).staged_crc
    talk.ask(ProgCommit(next_id(talk), rev, crc, start=start))


def program_and_start(talk: Conversation) -> None:
    program(talk, start=True)


def resume(talk: Conversation) -> None:
    talk.ask(Resume(next_id(talk), status(talk).program_rev))


def set_time(talk: Conversation) -> None:
    talk.ask(TimeSet(next_id(talk), 826_000_000, 60, TimeSetReason.DRIFT, confirm=True))


def bolus(talk: Conversation) -> None:
    rev = status(talk).program_rev
    prepared = talk.ask(BolusPrepare(BolusKind.BOLUS, 20_000, 600, rev))
    token = getattr(prepared, "token", 0)
    talk.ask(BolusCommit(next_id(talk), 20_000, 600, token, rev))


def cancel(talk: Conversation) -> None:
    talk.ask(BolusCancel(next_id(talk), 0, OWN_KEY))


def wait(talk: Conversation) -> None:
    talk.wait(3 * MS_PER_DAY)


ACTS: tuple[Callable[[Conversation], None], ...] = (
    stop,
    stop_and_resume_later,
    refill,
    program,
    program_and_start,
    resume,
    set_time,
    bolus,
    cancel,
    wait,
)
HISTORIES = [
    *product(ACTS, ACTS),
    *((refill, program_and_start, act) for act in ACTS),
    *((refill, program, act) for act in ACTS),
    *((refill, program_and_start, stop, act) for act in ACTS),
]


@for_each("acts", HISTORIES, one_in=2, name=lambda acts: ", ".join(act.__name__ for act in acts))
def test_whatever_is_done_to_a_factory_pump_survives_a_power_cut(
    acts: tuple[Callable[[Conversation], None], ...],
) -> None:
    base = in_state("new").fork()
    for act in acts:
        act(base)
    before = status(base)
    talk = restarted(base)
    after = status(talk)
    assert [getattr(after, name) for name in KEPT] == [getattr(before, name) for name in KEPT]
    assert after.alarm_active | OF_A_RESTART == before.alarm_active | OF_A_RESTART
    check_that_records_agree(talk)
    if not before.program_rev:
        talk.wait(4 * MS_PER_DAY)
        later = status(talk)
        assert (later.state, later.state_reason, later.alarm_active) == (
            before.state,
            before.state_reason,
            after.alarm_active,
        )
        assert talk.pump.truth().strokes_turned == 0
