"""A bit of a checkpoint flips while power is out: what the pump says of its bolus is true, and as exact as can be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from firmware_emu.controller.memory.memory_map import CHECKPOINT_OFFSETS
from firmware_emu.units import MS_PER_HOUR
from protocol.identifiers import Outcome
from protocol.log.types import LogType
from protocol.messages.ledger import QueryCmd
from protocol.messages.reading import GetDelivery, GetStatus
from tests.simulation.invariants import assert_log_is_whole, assert_volumes_agree
from tests.simulation.test_power_cuts_in_therapy import STROKE_NL, STROKES, bolus_at_work

if TYPE_CHECKING:
    from hil.campaign.conversation import Conversation
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
