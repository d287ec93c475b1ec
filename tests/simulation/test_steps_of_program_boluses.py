"""However time is cut into steps, a program with patient's and periodic boluses leaves the same bytes and volumes."""

from __future__ import annotations

from functools import cache

from firmware_emu.controller.events import ProgramEvent
from firmware_emu.profile import Implant
from firmware_emu.units import MS_PER_HOUR, MS_PER_MINUTE, MS_PER_S
from hil.campaign.conversation import Conversation, profile_of
from hil.campaign.program_boluses import PatientAndClinician
from protocol.identifiers import Activity, RefillFlag, StopReason, TimeSetReason
from protocol.log.types import LogType
from protocol.messages.program import PatientBlock, PeriodicBlock
from protocol.messages.reading import GetStatus
from protocol.messages.reservoir import Refill
from protocol.messages.stop import Resume, Stop
from protocol.messages.time import TimeSet
from tests.simulation.stepping import Act, Story, cuts, played
from tests.simulation.test_steps import asking, assert_same, bolus, stall
from tests.support.for_each import for_each

HOUR = MS_PER_HOUR
END_MS = 60 * HOUR
QUICK = PatientBlock(volume_nl=20_500, duration_s=1_200, lockout_s=3_600, window_s=43_200, max_count=3)
OFTEN = PeriodicBlock(volume_nl=15_250, duration_s=1_300, interval_s=5_400, first_delay_s=61)
PROFILE = profile_of(
    implant=Implant(filled_nl=4_500_000), wall_at_start_s=826_000_000, accuracy_ppm=1_037_000
)


def asks(cmd_id: int) -> Act:
    def act(talk: Conversation) -> None:
        assert isinstance(talk, PatientAndClinician)
        talk.asks_for_bolus(cmd_id)

    return act


def programs(cmd_id: int, patient: PatientBlock | None, periodic: PeriodicBlock | None) -> Act:
    def act(talk: Conversation) -> None:
        assert isinstance(talk, PatientAndClinician)
        talk.programs(cmd_id, patient, periodic)

    return act


def restart(talk: Conversation) -> None:
    talk.pump.cut_power()
    talk.pump.restore_power()


def eventful_days() -> Story:
    """Grants, denials, boluses that wait for each other, a stall, a stop, a refill, a restart, clocks, programs."""
    return (
        (17, programs(1, QUICK, OFTEN)),
        (HOUR + 1, asks(1)),
        (HOUR + 18, bolus(2, 60_000, 7_200)),
        (HOUR + 70 * MS_PER_S, asks(2)),
        (2 * HOUR + 31 * MS_PER_MINUTE + 3, asks(3)),
        (4 * HOUR, asks(4)),
        (4 * HOUR + 5, asks(5)),
        (6 * HOUR + 1, stall(True)),
        (7 * HOUR + 1, stall(False)),
        (9 * HOUR, asking(Stop(6, 7_200, StopReason.CLINICAL))),
        (10 * HOUR + 1, asks(7)),
        (11 * HOUR, asking(Resume(8, 2))),
        (14 * HOUR, asking(TimeSet(9, 700_000_000, 60, TimeSetReason.ZONE, confirm=True))),
        (18 * HOUR + 7, asks(10)),
        (18 * HOUR + 3 * MS_PER_MINUTE, restart),
        (20 * HOUR, asking(Refill(11, 0, 4_000_000, 1, RefillFlag(0), 500_000, 2_000_000))),
        (20 * HOUR + 1, asks(12)),
        (30 * HOUR, asks(13)),
        (31 * HOUR, programs(14, None, OFTEN._replace(interval_s=3_601))),
        (40 * HOUR, programs(15, QUICK._replace(volume_nl=1_000), None)),
        (42 * HOUR, asks(16)),
    )


@cache
def in_one_go() -> PatientAndClinician:
    talk = PatientAndClinician(Conversation.with_new_pump(PROFILE).pump)
    played(talk, eventful_days(), END_MS)
    return talk


def test_the_eventful_days_hold_what_they_promise() -> None:
    talk = in_one_go().fork()
    entries = talk.log()
    assert {entry.type for entry in entries} >= {LogType.PTM_GRANT, LogType.PTM_DENY, LogType.CMD_REFUSED}
    kinds = {entry.details().kind.name for entry in entries if entry.type is LogType.BOLUS_START}
    assert kinds == {"BOLUS", "PATIENT", "PERIODIC"}
    waiting = Conversation.with_new_pump(PROFILE)
    both = PatientAndClinician(waiting.pump)
    played(both, eventful_days(), HOUR + 71 * MS_PER_S)
    assert both.granted(GetStatus()).activity & Activity.SUSPENDED_BOLUS


@for_each("seed", range(3))
def test_eventful_days_in_thousands_of_steps_are_the_same_days(seed: int) -> None:
    reference = in_one_go()
    events_ms = {entry.now.pump_ms for entry in reference.trace if isinstance(entry.event, ProgramEvent)}
    stepped = PatientAndClinician(Conversation.with_new_pump(PROFILE).pump)
    played(stepped, eventful_days(), END_MS, cuts(seed, END_MS, 3_000, events_ms))
    assert_same(stepped, reference.fork())


@for_each("step_ms", [1_000, 61_000])
def test_eventful_days_in_equal_steps_are_the_same_days(step_ms: int) -> None:
    stepped = PatientAndClinician(Conversation.with_new_pump(PROFILE).pump)
    played(stepped, eventful_days(), END_MS, range(step_ms, END_MS, step_ms))
    assert_same(stepped, in_one_go().fork())
