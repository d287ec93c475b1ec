"""Whether a patient who asks for a bolus gets one now, and if not why, and when [SPEC 6].

Size, duration, lockout and count are the clinician's program's; the patient asks, and no more. What is remembered is
in `patient_requests`, what the request was answered in `commands`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from firmware_emu.controller.memory.memory_map import Region
from firmware_emu.controller.therapy.bolus import (
    ActiveBolus,
    check_size,
    check_windows,
    minimum_duration_s,
    quantised_nl,
)
from firmware_emu.controller.therapy.bolus_window import Ended
from firmware_emu.controller.therapy.counters import Source
from firmware_emu.controller.therapy.delivery_sources import SOURCES
from firmware_emu.controller.therapy.foreseen import end_ms, foreseen
from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR, MS_PER_S, ceil_div
from protocol.identifiers import DenyReason, ErrorCode, ProgramFlag, State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from firmware_emu.controller.therapy.therapy import Therapy
    from protocol.messages.program import PatientBlock


class Denial(NamedTuple):
    """Why no bolus is granted now; `code` says it in the words of a refusal."""

    deny: DenyReason
    code: ErrorCode


def patient_block(therapy: Therapy) -> PatientBlock | None:
    """What the active program allows its patient; None where it allows nothing."""
    program = therapy.records.program
    if program is None or not program.header.flags & ProgramFlag.PATIENT:
        return None
    return program.header.patient


def denial_of(therapy: Therapy) -> Denial | None:
    """Why a bolus that is asked for now is denied; None where it is granted. The first reason of all that hold."""
    block = patient_block(therapy)
    if block is None:
        return Denial(DenyReason.NOT_PROGRAMMED, ErrorCode.NO_STAGED)
    return next(_denials(therapy, block), None)


def _denials(therapy: Therapy, block: PatientBlock) -> Iterator[Denial]:
    """Each reason that holds now, in the order in which a patient is told of one."""
    records = therapy.records
    state, patient, tick_ms = records.therapy.state, records.patient, records.tick_ms
    if state is not State.RUN:
        yield Denial(DenyReason.STOPPED, ErrorCode.STOPPED if state is State.STOP else ErrorCode.SAFE_STATE)
    if records.alarms.critical_active:
        yield Denial(DenyReason.ALARM, ErrorCode.ALARM_BLOCKS)
    if therapy.deliveries.bridge is not None:
        yield Denial(DenyReason.ANOTHER_ACTIVE, ErrorCode.BRIDGE_ACTIVE)
    if therapy.deliveries.in_the_way_of(Source.PATIENT) is not None:
        yield Denial(DenyReason.ANOTHER_ACTIVE, ErrorCode.BOLUS_ACTIVE)
    if tick_ms < patient.unlocked_ms(block):
        yield Denial(DenyReason.LOCKOUT, ErrorCode.GAP)
    if tick_ms < patient.counted_out_ms(block):
        yield Denial(DenyReason.COUNT, ErrorCode.DAY_MAX)
    code_of_limit = _limit_passed(therapy, block)
    if code_of_limit is not None:
        yield Denial(DenyReason.LIMIT, code_of_limit)


def _limit_passed(therapy: Therapy, block: PatientBlock) -> ErrorCode | None:
    """The limit of the pump that a bolus from now on would pass, or carry a bolus that waits for it beyond."""
    records, model = therapy.records, therapy.model
    volume_nl = quantised_nl(block.volume_nl, model.stroke_nl)
    duration_ms = block.duration_s * MS_PER_S
    highest = therapy.highest_basal_nl_per_day(duration_ms)
    refusal = check_size(volume_nl, block.duration_s, highest, model) or check_windows(
        volume_nl, model, records.window, records.tick_ms
    )
    if refusal is not None:
        return refusal.code
    for other in foreseen(therapy.deliveries):
        left_ms = end_ms(other) - records.tick_ms
        later_basal = therapy.highest_basal_nl_per_day(left_ms + duration_ms)
        shortest_s = minimum_duration_s(other.volume_nl, later_basal, model.rate_max_nl_per_day)
        if shortest_s is None or other.duration_ms < shortest_s * MS_PER_S:
            return ErrorCode.RATE
    return None


def next_allowed_s(therapy: Therapy) -> int | None:
    """In how many seconds, rounded up, a request is granted if nothing but time passes; None where it never is."""
    records, block = therapy.records, patient_block(therapy)
    if block is None or records.therapy.state is not State.RUN or records.alarms.critical_active:
        return None
    model, window, tick_ms = therapy.model, records.window, records.tick_ms
    volume_nl = quantised_nl(block.volume_nl, model.stroke_nl)
    in_work = foreseen(therapy.deliveries)
    not_beside = SOURCES[Source.PATIENT].not_beside
    running = [Ended(end_ms(d), d.volume_nl) for d in in_work if SOURCES[d.source].counts_in_windows]
    moments: list[int | None] = [tick_ms, records.patient.unlocked_ms(block)]
    moments.append(records.patient.counted_out_ms(block))
    moments += [end_ms(delivery) for delivery in in_work if delivery.source in not_beside]
    if therapy.deliveries.bridge is not None:
        moments.append(therapy.deliveries.bridge_end_ms)
    for window_ms, limit_nl in ((MS_PER_HOUR, model.hour_max_nl), (MS_PER_DAY, model.day_max_nl)):
        moments.append(window.fits_at_ms(tick_ms, volume_nl, window_ms, limit_nl, running))
    known = [at_ms for at_ms in moments if at_ms is not None]
    if len(known) < len(moments) or volume_nl > model.bolus_max_nl:
        return None
    return ceil_div(max(known) - tick_ms, MS_PER_S)


def granted_bolus(therapy: Therapy, block: PatientBlock, key_id: int, cmd_id: int) -> ActiveBolus:
    """The bolus of a grant from now on, which counts from this moment."""
    records = therapy.records
    records.patient.grant(records.tick_ms, block)
    records.mark_dirty(Region.PATIENT)
    return ActiveBolus(
        source=Source.PATIENT,
        cmd_id=cmd_id,
        key_id=key_id,
        stroke_nl=therapy.model.stroke_nl,
        strokes_total=block.volume_nl // therapy.model.stroke_nl,
        duration_ms=block.duration_s * MS_PER_S,
        start_ms=records.tick_ms,
    )
