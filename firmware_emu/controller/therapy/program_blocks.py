"""For what the blocks of a program are refused: boluses by themselves or at a patient's request, and a bridge.

Boluses are held against the fastest basal rate that the program has; a bridge has none beside it [SPEC 6, DOMAIN 2.3].
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from firmware_emu.controller.therapy.bolus import minimum_duration_s, quantised_nl
from firmware_emu.units import S_PER_DAY, S_PER_HOUR, ceil_div
from protocol.codec.layouts import path_offset
from protocol.identifiers import ErrorCode, ProgramFlag
from protocol.messages.program import NO_GROUP, ProgramHeader, ProgramRefusal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from firmware_emu.profile import PumpModel
    from protocol.messages.program import BridgeBlock, PatientBlock, PeriodicBlock


class _Found(NamedTuple):
    """A refusal of one field of a block."""

    field: str
    code: ErrorCode
    value: int
    limit: int
    nearest: int


def refused_blocks(
    header: ProgramHeader, peak_nl_per_day: int, limits: PumpModel
) -> Iterator[ProgramRefusal]:
    """Refuse boluses and a bridge that the pump could not give as the program says."""
    found: list[tuple[str, _Found]] = []
    if header.flags & ProgramFlag.PERIODIC:
        found += [("periodic", each) for each in _refused_periodic(header.periodic, peak_nl_per_day, limits)]
    if header.flags & ProgramFlag.PATIENT:
        found += [("patient", each) for each in _refused_patient(header.patient, peak_nl_per_day, limits)]
    if header.flags & ProgramFlag.BRIDGE:
        found += [("bridge", each) for each in _refused_bridge(header.bridge, limits)]
    for block, (field, code, value, limit, nearest) in found:
        offset = path_offset(ProgramHeader, f"{block}.{field}")
        yield ProgramRefusal(code, NO_GROUP, offset, value, limit, nearest)


def boluses_can_be(header: ProgramHeader, stroke_nl: int) -> bool:
    """Whether the boluses of a program that was verified once can be reckoned with, whatever the limits are now."""
    blocks: list[tuple[int, int, int]] = []
    if header.flags & ProgramFlag.PERIODIC:
        blocks.append((header.periodic.volume_nl, header.periodic.duration_s, header.periodic.interval_s))
    if header.flags & ProgramFlag.PATIENT:
        blocks.append((header.patient.volume_nl, header.patient.duration_s, header.patient.lockout_s))
        if not header.patient.max_count:
            return False
    return all(volume >= stroke_nl and 0 < lasts < apart for volume, lasts, apart in blocks)


def boluses_nl_per_day(header: ProgramHeader) -> int:
    """The most that the boluses of a program bring into any day: periodic ones, and all that a patient may ask for."""
    total_nl = 0
    if header.flags & ProgramFlag.PERIODIC and header.periodic.interval_s:
        total_nl += ceil_div(S_PER_DAY, header.periodic.interval_s) * header.periodic.volume_nl
    if header.flags & ProgramFlag.PATIENT:
        total_nl += _allotted_per_day(header.patient) * header.patient.volume_nl
    return total_nl


def _allotted_per_day(block: PatientBlock) -> int:
    """The most grants of any day, by count and by lockout."""
    if not block.window_s or not block.lockout_s:
        return 0  # refused for that
    by_count = ceil_div(S_PER_DAY, block.window_s) * block.max_count
    return min(by_count, ceil_div(S_PER_DAY, block.lockout_s))


def _refused_periodic(block: PeriodicBlock, peak_nl_per_day: int, limits: PumpModel) -> Iterator[_Found]:
    yield from _refused_bolus(block.volume_nl, block.duration_s, peak_nl_per_day, limits)
    if block.interval_s <= block.duration_s:
        yield _Found("interval_s", ErrorCode.RATE, block.interval_s, block.duration_s, block.duration_s + 1)
        return
    for code, window_s, limit_nl in (
        (ErrorCode.HOUR_MAX, S_PER_HOUR, limits.hour_max_nl),
        (ErrorCode.DAY_MAX, S_PER_DAY, limits.day_max_nl),
    ):  # one that ended within the window before a start counts still
        used_nl = ceil_div(window_s + block.duration_s, block.interval_s) * block.volume_nl
        if block.volume_nl <= limits.bolus_max_nl and used_nl > limit_nl:
            yield _Found("volume_nl", code, used_nl, limit_nl, limit_nl)


def _refused_patient(block: PatientBlock, peak_nl_per_day: int, limits: PumpModel) -> Iterator[_Found]:
    yield from _refused_bolus(block.volume_nl, block.duration_s, peak_nl_per_day, limits)
    if block.lockout_s <= block.duration_s:
        yield _Found("lockout_s", ErrorCode.RATE, block.lockout_s, block.duration_s, block.duration_s + 1)
    least_s = max(block.lockout_s, 1)
    if block.window_s < least_s:
        yield _Found("window_s", ErrorCode.TIME_RANGE, block.window_s, least_s, least_s)
    if not block.max_count:
        yield _Found("max_count", ErrorCode.SEGMENTS, 0, 1, 1)


def _refused_bridge(block: BridgeBlock, limits: PumpModel) -> Iterator[_Found]:
    """Refuse a bridge of less than a stroke or more than a reservoir, at a rate that the pump cannot run."""
    volume_nl, rate = block
    most_nl = quantised_nl(limits.reservoir_size_nl, limits.stroke_nl)
    nearest_nl = min(max(volume_nl, limits.stroke_nl), most_nl)
    if volume_nl != nearest_nl:
        code = ErrorCode.RATE if volume_nl < nearest_nl else ErrorCode.RESERVOIR
        yield _Found("volume_nl", code, volume_nl, nearest_nl, nearest_nl)
    nearest = min(max(rate, limits.rate_min_nl_per_day), limits.rate_max_nl_per_day)
    if rate != nearest:
        yield _Found("rate_nl_per_day", ErrorCode.RATE, rate, nearest, nearest)
    in_a_day_nl, day_max_nl = min(volume_nl, rate), limits.program_day_max_nl
    if in_a_day_nl > day_max_nl:
        yield _Found("rate_nl_per_day", ErrorCode.DAY_MAX, in_a_day_nl, day_max_nl, day_max_nl)


def _refused_bolus(
    volume_nl: int, duration_s: int, peak_nl_per_day: int, limits: PumpModel
) -> Iterator[_Found]:
    """Refuse one bolus for its volume or, beside the fastest basal rate, for its duration."""
    if volume_nl < limits.stroke_nl:
        yield _Found("volume_nl", ErrorCode.RATE, volume_nl, limits.stroke_nl, limits.stroke_nl)
        return
    if volume_nl > limits.bolus_max_nl:
        nearest_nl = quantised_nl(limits.bolus_max_nl, limits.stroke_nl)
        yield _Found("volume_nl", ErrorCode.BOLUS_MAX, volume_nl, limits.bolus_max_nl, nearest_nl)
        return
    shortest_s = minimum_duration_s(volume_nl, peak_nl_per_day, limits.rate_max_nl_per_day)
    longest_s = limits.bolus_max_duration_s
    if shortest_s is None or duration_s < shortest_s:
        yield _Found("duration_s", ErrorCode.RATE, duration_s, shortest_s or 0, shortest_s or 0)
    elif duration_s > longest_s:
        yield _Found("duration_s", ErrorCode.TIME_RANGE, duration_s, longest_s, longest_s)
