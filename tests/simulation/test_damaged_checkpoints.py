"""A bit of a checkpoint flips while power is out: what the pump says of its bolus is true, and as exact as can be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from firmware_emu.controller.memory.memory_map import CHECKPOINT_OFFSETS
from firmware_emu.units import MS_PER_HOUR, MS_PER_S
from hil.campaign.conversation import Conversation, flexible_program, profile_of
from hil.campaign.program_boluses import PERIODIC, PatientAndClinician
from protocol.identifiers import AlarmId, Outcome, State, StopReason
from protocol.log.types import LogType
from protocol.messages.ledger import QueryCmd
from protocol.messages.program import ProgCommit
from protocol.messages.reading import GetDelivery, GetStatus
from protocol.messages.stop import Resume, Stop
from tests.simulation.invariants import assert_log_is_whole, assert_volumes_agree
from tests.simulation.test_power_cuts_in_therapy import STROKE_NL, STROKES, bolus_at_work

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocol.messages.ledger import QueryCmdReply

STROKE_MS = 10_000
FLIPPED_BYTE = 20  # of the data, behind sequence and length: the checksum alone shows it


def by_age(talk: Conversation) -> list[int]:
    """Where the two checkpoints lie, the newest first."""
    read = talk.pump.plant.flash.read
    return sorted(CHECKPOINT_OFFSETS, key=lambda at: int.from_bytes(read(at, 4), "little"), reverse=True)


def flip(talk: Conversation, slot: int) -> None:
    flash = talk.pump.plant.flash
    at = slot + FLIPPED_BYTE
    flash.load([(at, bytes([flash.read(at, 1)[0] ^ 0x40]))])


def cut_between_stroke_and_checkpoint(talk: Conversation, stroke: int) -> None:
    """Power goes when that stroke of the bolus has turned and nothing of its checkpoint is written."""
    talk.wait(stroke * STROKE_MS - 1)
    talk.pump.inject("power-cut-at-write", {"writes": 1, "torn_after_bytes": 0})
    talk.wait(1)
    assert not talk.pump.powered


def cut_after_checkpoint(talk: Conversation, stroke: int, after_ms: int) -> None:
    talk.wait(stroke * STROKE_MS + after_ms)
    talk.pump.cut_power()


def closed(talk: Conversation, turned_before: int) -> QueryCmdReply:
    """The outcome after the restart, which must be true, in the log and the totals too, and stay so."""
    strokes = talk.pump.truth().strokes_turned - turned_before
    talk.pump.restore_power()
    found: QueryCmdReply = talk.granted(QueryCmd(1))
    assert found.delivered_nl <= strokes * STROKE_NL <= found.delivered_nl + found.uncertain_nl
    (end,) = [entry.details() for entry in talk.log() if entry.type is LogType.BOLUS_END]
    assert (end.delivered_nl, end.uncertain_nl) == (found.delivered_nl, found.uncertain_nl)
    assert talk.granted(GetDelivery()).bolus_nl == found.delivered_nl
    assert talk.granted(GetStatus()).bolus_cmd_id == 0
    assert_log_is_whole(talk)
    assert_volumes_agree(talk)
    talk.wait(MS_PER_HOUR)
    assert talk.granted(QueryCmd(1)) == found
    return found


def test_the_newest_checkpoint_is_damaged_and_a_stroke_was_turned_after_it() -> None:
    """Two strokes are then uncertain: the one of the damaged checkpoint, and the one that had none yet."""
    for stroke in range(2, STROKES + 1):
        talk = bolus_at_work().fork()
        turned_before = talk.pump.truth().strokes_turned
        cut_between_stroke_and_checkpoint(talk, stroke)
        flip(talk, by_age(talk)[0])
        found = closed(talk, turned_before)
        assert (found.outcome, found.delivered_nl, found.uncertain_nl) == (
            Outcome.PARTIAL,
            (stroke - 2) * STROKE_NL,
            2 * STROKE_NL,
        )


def test_the_newest_checkpoint_is_damaged_and_no_stroke_was_due_after_it() -> None:
    for stroke in range(1, STROKES):
        for after_ms in (0, 1, 8_999):
            talk = bolus_at_work().fork()
            turned_before = talk.pump.truth().strokes_turned
            cut_after_checkpoint(talk, stroke, after_ms)
            flip(talk, by_age(talk)[0])
            found = closed(talk, turned_before)
            assert (found.outcome, found.delivered_nl, found.uncertain_nl) == (
                Outcome.PARTIAL,
                (stroke - 1) * STROKE_NL,
                STROKE_NL,
            )


def test_the_checkpoint_of_the_start_is_damaged_and_one_stroke_at_most_was_turned() -> None:
    talk = bolus_at_work().fork()
    turned_before = talk.pump.truth().strokes_turned
    cut_between_stroke_and_checkpoint(talk, 1)
    flip(talk, by_age(talk)[0])
    found = closed(talk, turned_before)
    assert (found.outcome, found.delivered_nl, found.uncertain_nl) == (Outcome.PARTIAL, 0, STROKE_NL)


def test_the_older_checkpoint_is_damaged_and_one_stroke_is_uncertain_as_ever() -> None:
    for stroke in range(1, STROKES + 1):
        talk = bolus_at_work().fork()
        turned_before = talk.pump.truth().strokes_turned
        cut_between_stroke_and_checkpoint(talk, stroke)
        flip(talk, by_age(talk)[1])
        found = closed(talk, turned_before)
        assert (found.delivered_nl, found.uncertain_nl) == ((stroke - 1) * STROKE_NL, STROKE_NL)


def test_both_checkpoints_are_damaged_and_all_of_the_bolus_is_uncertain() -> None:
    talk = bolus_at_work().fork()
    turned_before = talk.pump.truth().strokes_turned
    cut_after_checkpoint(talk, 3, 1)
    for slot in CHECKPOINT_OFFSETS:
        flip(talk, slot)
    strokes = talk.pump.truth().strokes_turned - turned_before
    talk.pump.restore_power()
    found = talk.granted(QueryCmd(1))
    assert (strokes, found.outcome, found.delivered_nl, found.uncertain_nl) == (
        3,
        Outcome.PARTIAL,
        0,
        STROKES * STROKE_NL,
    )


def resume(talk: Conversation) -> None:
    talk.granted(Stop(1, 60, StopReason.MRI))
    talk.granted(Resume(2, 1))


def raise_the_rate(talk: Conversation) -> None:
    crc = talk.stage(900_000, 500_000, base_rev=1).staged_crc
    talk.granted(ProgCommit(1, 1, crc, start=True))


def reach_a_step(talk: Conversation) -> None:
    rates = {at: 1_800_000 if at % 240 else 48_000 for at in range(0, 24 * 60, 120)}
    staged = talk.stage_program(*flexible_program((0x7F, rates)), base_rev=1)
    talk.granted(ProgCommit(1, 1, staged.staged_crc, start=True))
    for rate_nl_per_day in (48_000, 1_800_000):
        while talk.granted(GetStatus()).rate_nl_per_day != rate_nl_per_day:
            talk.wait(60_000)


@pytest.mark.parametrize("change", [resume, raise_the_rate, reach_a_step])
def test_what_was_turned_at_a_rate_that_began_in_a_damaged_checkpoint_is_uncertain(
    change: Callable[[Conversation], None],
) -> None:
    """The checkpoint before it told the old rate, and what the new one had turned was in neither of both numbers."""
    for after_ms in (0, 60_000, 120_000):
        talk = Conversation.with_new_pump(profile_of(wall_at_start_s=826_000_000))
        talk.wait(MS_PER_HOUR + 300_000)
        change(talk)
        talk.wait(after_ms)
        talk.pump.cut_power()
        flip(talk, by_age(talk)[0])
        talk.pump.restore_power()
        status = talk.granted(GetStatus())
        assert status.state is State.SAFE_STATE
        assert status.alarm_active >> AlarmId.MEM_CRITICAL & 1
        assert_volumes_agree(talk)


def test_the_last_stroke_of_a_bolus_whose_end_is_in_a_damaged_checkpoint_is_uncertain() -> None:
    """The ledger had all of it as delivered, and the totals one stroke less, with nothing uncertain."""
    talk = bolus_at_work().fork()
    talk.wait(STROKES * STROKE_MS)
    assert talk.granted(QueryCmd(1)).outcome is Outcome.DONE
    talk.pump.cut_power()
    flip(talk, by_age(talk)[0])
    talk.pump.restore_power()
    assert talk.granted(QueryCmd(1)).delivered_nl == STROKES * STROKE_NL
    assert_volumes_agree(talk)


@pytest.mark.parametrize("turned", [False, True])
def test_a_periodic_bolus_that_began_in_a_damaged_checkpoint_ends_in_the_log(turned: bool) -> None:
    """Neither ledger nor checkpoint knew it, so the log had its start alone, and a first stroke was in no number."""
    talk = PatientAndClinician.with_program(None, PERIODIC)
    start_ms, strokes = PERIODIC.first_delay_s * MS_PER_S, PERIODIC.volume_nl // STROKE_NL
    talk.wait(start_ms)
    if turned:
        talk.wait(PERIODIC.duration_s * MS_PER_S // strokes - 1)
        talk.pump.inject("power-cut-at-write", {"writes": 1, "torn_after_bytes": 0})
        talk.wait(MS_PER_S)
    talk.pump.cut_power()
    flip(talk, by_age(talk)[0])
    talk.pump.restore_power()
    (end,) = [entry.details() for entry in talk.log() if entry.type is LogType.BOLUS_END]
    assert (end.delivered_nl, end.uncertain_nl) == (0, STROKE_NL)
    assert_volumes_agree(talk)


def test_a_periodic_bolus_that_ended_in_a_damaged_checkpoint_ends_once_in_the_log() -> None:
    """The log had its volume twice."""
    talk = PatientAndClinician.with_program(None, PERIODIC)
    talk.wait((PERIODIC.first_delay_s + PERIODIC.duration_s) * MS_PER_S)
    talk.pump.cut_power()
    flip(talk, by_age(talk)[0])
    talk.pump.restore_power()
    (end,) = [entry.details() for entry in talk.log() if entry.type is LogType.BOLUS_END]
    assert (end.delivered_nl, end.uncertain_nl) == (PERIODIC.volume_nl, 0)
    assert_volumes_agree(talk)
