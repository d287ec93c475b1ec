"""What the clinic did at time 0, for a pump whose story starts at work: clock, refill, program, start.

It goes through the same checks as the commands of a clinician, and leaves the same entries in the log.
"""

from __future__ import annotations

from dataclasses import astuple
from typing import TYPE_CHECKING

from firmware_emu.controller.memory.memory_map import Region
from firmware_emu.controller.memory.settings import TEXT_IDS
from firmware_emu.controller.therapy.modes import Trigger
from firmware_emu.controller.therapy.programs import Program, verify
from firmware_emu.controller.therapy.reservoir_belief import check_fill
from firmware_emu.units import S_PER_DAY
from protocol.identifiers import StateReason
from protocol.log.data import ProgramCommitData, RefillData, TimeSetData
from protocol.log.types import LogType, RateChangeReason

if TYPE_CHECKING:
    from firmware_emu.controller.therapy.therapy import Therapy
    from firmware_emu.profile import Implant, Profile


def implant(therapy: Therapy, profile: Profile, done: Implant) -> None:
    """Implant, fill, program and start; ValueError where the pump refuses that therapy."""
    records, model = therapy.records, profile.model
    program = Program.simple(done.drug_id, done.concentration_ng_per_ml, done.dose_ng_per_day)
    refusals = verify(program.header, program.segments, model).refusals
    if refusals:
        first = refusals[0]
        raise ValueError(
            f"the pump refuses the implanted therapy: {first.code.name}, {first.value} asked, limit {first.limit}"
        )
    if check_fill(done.filled_nl, model.reservoir_size_nl) is not None:
        raise ValueError(f"a fill of {done.filled_nl} nL in a reservoir of {model.reservoir_size_nl} nL")
    wall_s = profile.wall_at_start_s
    if wall_s is not None:
        records.enter(LogType.TIME_SET, TimeSetData(0, wall_s, 0, profile.tz_minutes))
        implant_wall_s = max(0, wall_s - done.implant_days_ago * S_PER_DAY)
        records.identity.implant_wall_s = implant_wall_s
        records.service.implanted(implant_wall_s, wall_s, 0, profile.tz_minutes)
    for config_id, text in zip(TEXT_IDS, astuple(profile.texts), strict=True):
        if text:
            records.texts.texts[config_id] = text.encode()
            records.mark_dirty(Region.TEXTS)
    filled_wall_s = 0 if wall_s is None else wall_s
    records.reservoir.refill(
        0,
        done.filled_nl,
        model.low_reservoir_alarm_nl,
        done.drug_id,
        done.concentration_ng_per_ml,
        0,
        filled_wall_s,
    )
    records.enter(LogType.REFILL, RefillData(0, done.filled_nl, 0))
    records.program = program
    records.therapy.program_rev = 1
    records.therapy.last_program_wall_s = filled_wall_s
    records.enter(LogType.PROGRAM_COMMIT, ProgramCommitData(1, program.crc))
    records.mark_dirty(Region.PROGRAM)
    therapy.change(Trigger.THERAPY_STARTED, StateReason.COMMAND, RateChangeReason.PROGRAM)
    therapy.check_reservoir()
