"""The messages that read the calculated reservoir and report a refill [SPEC 6]."""

from typing import NamedTuple

from protocol.codec.atoms import (
    I32,
    PROGRAM_REVISION,
    U16,
    U32,
    Reserved,
    enum_of,
    flags_of,
    naming,
    volatile,
)
from protocol.codec.layouts import message, nested
from protocol.identifiers import BatteryPhase, Opcode, RefillFlag
from protocol.messages.command import command
from protocol.messages.ledger import CMD_ID, CommandResult


@command(Opcode.GET_RESERVOIR, "OPCS", while_unknown=True)
@message()
class GetReservoir(NamedTuple):
    """The calculated reservoir and what follows from it."""

    @staticmethod
    def reply_class() -> "type[GetReservoirReply]":
        return GetReservoirReply


@message(
    "reservoir_calc_nl" / U32 * "what the pump believes to be left",
    "low_alarm_nl" / U32 * "content at which LOW_RESERVOIR is due",
    "last_fill_nl" / U32 * "content after the last refill",
    "last_aspirated_nl" / U32 * "what came out then",
    "last_expected_nl" / U32 * "what the pump had believed to be left then",
    "last_refill_t_mono_s" / volatile(U32) * "running time of the last refill",
    "last_refill_wall_s" / volatile(U32) * "wall time of the last refill; 0 not known",
    "low_t_mono_s" / volatile(U32) * "when the low alarm is due; FFFFFFFF never",
    "empty_t_mono_s" / volatile(U32) * "FFFFFFFF never",
    "low_all_patient_t_mono_s"
    / volatile(U32)
    * "if the patient asks for every allowed bolus; FFFFFFFF never",
    "replace_by_wall_s" / U32 * "date to replace the pump by; 0 not known",
    "last_program_wall_s" / volatile(U32) * "wall time of the last program; 0 not known",
    "ptm_granted" / U16 * "since the last clinician session",
    "ptm_denied" / U16 * "since the last clinician session",
    "battery_phase" / enum_of(BatteryPhase) * "where the battery is in its service life",
    Reserved(3),
)
class GetReservoirReply(NamedTuple):
    """The calculated reservoir and what follows from it."""

    reservoir_calc_nl: int
    low_alarm_nl: int
    last_fill_nl: int
    last_aspirated_nl: int
    last_expected_nl: int
    last_refill_t_mono_s: int
    last_refill_wall_s: int
    low_t_mono_s: int
    empty_t_mono_s: int
    low_all_patient_t_mono_s: int
    replace_by_wall_s: int
    last_program_wall_s: int
    ptm_granted: int
    ptm_denied: int
    battery_phase: BatteryPhase


@command(Opcode.REFILL, "C", therapy=True, carries_cmd_id=True)
@message(
    "cmd_id" / CMD_ID,
    "aspirated_nl" / U32 * "what came out",
    "filled_nl" / U32 * "what went in: the whole content",
    "drug_id" / U16 * "number of the drug, as in a program",
    "flags" / flags_of(RefillFlag, U16),
    "concentration_ng_per_ml" / U32 * "of the drug that went in, above 0",
    "low_alarm_nl" / U32 * "content at which LOW_RESERVOIR is due, below filled_nl",
    "staged_crc" / U32 * "0: the program stays; else the verified staged program to commit with it",
)
class Refill(NamedTuple):
    """What the clinician did with the syringe."""

    cmd_id: int
    aspirated_nl: int
    filled_nl: int
    drug_id: int
    flags: RefillFlag
    concentration_ng_per_ml: int
    low_alarm_nl: int
    staged_crc: int = 0

    @staticmethod
    def reply_class() -> "type[RefillReply]":
        return RefillReply


@message(
    "result" / nested(CommandResult),
    "reservoir_calc_nl" / U32 * "the new belief",
    "expected_nl" / U32 * "the belief before",
    "diff_nl" / I32 * "aspirated - expected",
    "program_rev" / naming(U32, PROGRAM_REVISION) * "of the active program",
)
class RefillReply(NamedTuple):
    """The refill is believed; a large `diff_nl` accuses pump, catheter or syringe."""

    result: CommandResult
    reservoir_calc_nl: int
    expected_nl: int
    diff_nl: int
    program_rev: int
