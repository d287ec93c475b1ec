"""What an infusion program is, what it asks for, and for what it is refused [SPEC 6, DOMAIN 2, 4.1].

The clinic prescribes doses, the pump turns strokes: the rates are what counts, the dose is what was
prescribed, and a program whose rates do not give its dose is refused. Not for staging, revisions or who may
commit (`commands`).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from firmware_emu.controller.refusal import saturated_u32
from firmware_emu.controller.therapy.program_blocks import boluses_nl_per_day, refused_blocks
from firmware_emu.controller.therapy.week import Week
from firmware_emu.units import MINUTES_PER_DAY, NL_PER_ML
from protocol.codec.layouts import decode, encode
from protocol.identifiers import ErrorCode, InfusionMode, ProgramFlag
from protocol.messages.program import (
    GROUPS_MAX,
    REFUSALS_MAX,
    SEGMENTS_MAX,
    SEGMENTS_PER_DAY_MAX,
    BridgeBlock,
    Group,
    PatientBlock,
    PeriodicBlock,
    ProgramHeader,
    ProgramRefusal,
    Segment,
    padded_groups,
    staged_crc,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from firmware_emu.profile import PumpModel

EVERY_DAY: Final = 0x7F
WHOLE: Final = 0xFF  # group or index of a refusal that concerns none in particular
HEADER_BYTES: Final = 98
SEGMENT_BYTES: Final = 6
_CONSTANT_MODES: Final = frozenset({InfusionMode.MINIMUM_RATE, InfusionMode.SIMPLE})
_MODES: Final = _CONSTANT_MODES | {InfusionMode.FLEX}
_CONSTANT_RATE: Final = struct.Struct("<I")  # behind the segments of a flexible program


class Unsupported(NamedTuple):
    """A header that this pump cannot take, refused at BEGIN. `field` is one of the header's, a group as `groups.1`."""

    code: ErrorCode
    field: str
    value: int
    limit: int


class Verification(NamedTuple):
    """The pump's own reading of a program: each group's volume a day, and what it would be refused for."""

    day_totals_nl: tuple[int, ...]
    peak_rate_nl_per_day: int
    refusals: tuple[ProgramRefusal, ...]


def rate_for_dose(dose_ng_per_day: int, concentration_ng_per_ml: int) -> int:
    """The rate in nL/day that comes nearest to a dose."""
    numerator = 2 * dose_ng_per_day * NL_PER_ML + concentration_ng_per_ml
    return numerator // (2 * concentration_ng_per_ml)


def dose_of(volume_nl: int, concentration_ng_per_ml: int) -> int:
    """The drug in a volume, in ng, rounded to the nearest."""
    return (2 * volume_nl * concentration_ng_per_ml + NL_PER_ML) // (2 * NL_PER_ML)


@dataclass(frozen=True, slots=True)
class Program:
    """A program that has been verified: what it asks for, moment by moment.

    `constant_rate_nl_per_day` is what a flexible one runs at while nobody knows the time of day.
    """

    header: ProgramHeader
    segments: tuple[Segment, ...]
    constant_rate_nl_per_day: int = 0
    week: Week | None = field(init=False, repr=False, compare=False)
    """The rates of a flexible program; None of one whose rate is the same at all times."""

    def __post_init__(self) -> None:
        """Work out the week of a flexible program, once."""
        flexible = self.header.mode is InfusionMode.FLEX
        week = Week.of(_groups(self.header, self.segments)) if flexible else None
        object.__setattr__(self, "week", week)

    @classmethod
    def simple(cls, drug_id: int, concentration_ng_per_ml: int, dose_ng_per_day: int) -> Program:
        """One dose a day, evenly spread."""
        header = ProgramHeader(
            InfusionMode.SIMPLE,
            n_groups=1,
            n_segments=1,
            flags=ProgramFlag(0),
            drug_id=drug_id,
            concentration_ng_per_ml=concentration_ng_per_ml,
            groups=padded_groups([Group(EVERY_DAY, 1, dose_ng_per_day)]),
        )
        return cls(header, (Segment(0, rate_for_dose(dose_ng_per_day, concentration_ng_per_ml)),))

    @property
    def rate_nl_per_day(self) -> int:
        """The rate that needs no time of day: of a flexible program that of the constant one before it."""
        return self.segments[0].rate_nl_per_day if self.week is None else self.constant_rate_nl_per_day

    @property
    def highest_rate_nl_per_day(self) -> int:
        """The highest rate at any time, the bridge before it included."""
        rates = [self.constant_rate_nl_per_day, *(row.rate_nl_per_day for row in self.segments)]
        return max(*rates, self.header.bridge.rate_nl_per_day)

    def following(self, active: Program | None, safe_rate_nl_per_day: int) -> Program:
        """This program as it takes the place of the active one: a flexible one keeps the last constant rate.

        Under another drug or concentration that rate would be another dose, so the safe rate takes its place.
        """
        same_drug = active is not None and active.drug == self.drug
        constant = active.rate_nl_per_day if active is not None and same_drug else safe_rate_nl_per_day
        return self if self.week is None else replace(self, constant_rate_nl_per_day=constant)

    @property
    def drug(self) -> tuple[int, int]:
        """The drug's number and its concentration in ng/mL."""
        return self.header.drug_id, self.header.concentration_ng_per_ml

    @property
    def crc(self) -> int:
        """CRC-32C of header and segments, as PROG_VERIFY tells it."""
        return staged_crc(self.header, self.segments)

    def pack(self) -> bytes:
        """Header and segments as they travel, and behind those of a flexible program its constant rate."""
        packed = encode(self.header) + b"".join(encode(segment) for segment in self.segments)
        return packed if self.week is None else packed + _CONSTANT_RATE.pack(self.constant_rate_nl_per_day)

    @classmethod
    def unpack(cls, data: bytes) -> Program:
        """The program as it was packed; ValueError (or Malformed) for bytes that this program never wrote."""
        header = decode(ProgramHeader, data[:HEADER_BYTES])
        rows, constant_rate = data[HEADER_BYTES:], 0
        if header.mode is InfusionMode.FLEX and len(rows) >= _CONSTANT_RATE.size:
            (constant_rate,) = _CONSTANT_RATE.unpack(rows[-_CONSTANT_RATE.size :])
            rows = rows[: -_CONSTANT_RATE.size]
        if len(rows) != header.n_segments * SEGMENT_BYTES or not rows:
            raise ValueError(f"a program of {header.n_segments} segments in {len(rows)} bytes")
        starts = range(0, len(rows), SEGMENT_BYTES)
        segments = tuple(decode(Segment, rows[start : start + SEGMENT_BYTES]) for start in starts)
        return cls(header, segments, constant_rate)


def unsupported(header: ProgramHeader) -> Unsupported | None:
    """Why this pump cannot even stage such a program; None where it can."""
    if header.mode not in _MODES:
        return Unsupported(ErrorCode.ENUM, "mode", header.mode, max(_MODES))
    if not 1 <= header.n_groups <= GROUPS_MAX:
        return Unsupported(
            ErrorCode.SEGMENTS, "n_groups", header.n_groups, _nearest(header.n_groups, GROUPS_MAX)
        )
    if not 1 <= header.n_segments <= SEGMENTS_MAX:
        nearest = _nearest(header.n_segments, SEGMENTS_MAX)
        return Unsupported(ErrorCode.SEGMENTS, "n_segments", header.n_segments, nearest)
    return _used_without_flag(header)


def _nearest(count: int, maximum: int) -> int:
    """The nearest count of at least one."""
    return min(max(count, 1), maximum)


def _used_without_flag(header: ProgramHeader) -> Unsupported | None:
    """Refuse a block or group that is filled and not announced: its flag may have been forgotten."""
    blocks: tuple[tuple[ProgramFlag, str, object, object], ...] = (
        (ProgramFlag.PERIODIC, "periodic", header.periodic, PeriodicBlock()),
        (ProgramFlag.PATIENT, "patient", header.patient, PatientBlock()),
        (ProgramFlag.BRIDGE, "bridge", header.bridge, BridgeBlock()),
    )
    for flag, name, block, empty in blocks:
        if not header.flags & flag and block != empty:
            return Unsupported(ErrorCode.RESERVED_BITS, name, header.flags, 0)
    for number in range(header.n_groups, GROUPS_MAX):
        if header.groups[number] != Group():
            return Unsupported(ErrorCode.RESERVED_BITS, f"groups.{number}", header.n_groups, 0)
    return None


def verify(header: ProgramHeader, segments: Sequence[Segment], limits: PumpModel) -> Verification:
    """Read a staged program as the pump would run it; the first refusals of all that are found."""
    groups = tuple(_groups(header, segments))
    totals_nl = tuple(_day_total_nl(rows) for _, rows in groups)
    peak_rate = max((segment.rate_nl_per_day for segment in segments), default=0)
    refusals = [*_refused_structure(header, segments), *_refused_rates(header, segments, limits)]
    refusals += refused_blocks(header, peak_rate, limits)
    for number, ((group, rows), total_nl) in enumerate(zip(groups, totals_nl, strict=True)):
        refusals += _refused_day(header, number, group, len(rows), total_nl, limits)
    shown = tuple(
        refusal._replace(
            value=saturated_u32(refusal.value),
            limit=saturated_u32(refusal.limit),
            nearest=saturated_u32(refusal.nearest),
        )
        for refusal in refusals[:REFUSALS_MAX]
    )
    peak_rate = max(peak_rate, header.bridge.rate_nl_per_day)
    return Verification(tuple(saturated_u32(total) for total in totals_nl), peak_rate, shown)


def _groups(header: ProgramHeader, segments: Sequence[Segment]) -> Iterator[tuple[Group, Sequence[Segment]]]:
    """Each used group with its own segments: they stand in one list, group after group."""
    first = 0
    for group in header.groups[: header.n_groups]:
        yield group, segments[first : first + group.n_segments]
        first += group.n_segments


def _day_total_nl(rows: Sequence[Segment]) -> int:
    """Volume of one day: floor(sum of rate x minutes / 1440)."""
    ends = [*(segment.start_min for segment in rows[1:]), MINUTES_PER_DAY]
    grown = sum(
        segment.rate_nl_per_day * max(0, end - segment.start_min)
        for segment, end in zip(rows, ends[: len(rows)], strict=True)
    )
    return grown // MINUTES_PER_DAY


def _refused_structure(header: ProgramHeader, segments: Sequence[Segment]) -> Iterator[ProgramRefusal]:
    """Refuse counts that do not agree, days that are in no group or in two, and segments out of order."""
    wanted = header.n_segments
    if len(segments) != wanted:
        yield ProgramRefusal(ErrorCode.SEGMENTS, WHOLE, WHOLE, len(segments), wanted, wanted)
    if header.mode in _CONSTANT_MODES and (header.n_groups, wanted) != (1, 1):
        yield ProgramRefusal(ErrorCode.SEGMENTS, WHOLE, WHOLE, wanted, 1, 1)
    used = header.groups[: header.n_groups]
    counted = sum(group.n_segments for group in used)
    if counted != wanted:
        yield ProgramRefusal(ErrorCode.SEGMENTS, WHOLE, WHOLE, counted, wanted, wanted)
    days = 0
    for number, group in enumerate(used):
        free = EVERY_DAY & ~days
        if not group.day_mask or group.day_mask & ~free or not group.n_segments:
            yield ProgramRefusal(ErrorCode.SEGMENTS, number, WHOLE, group.day_mask, free, free)
        elif group.n_segments > SEGMENTS_PER_DAY_MAX:
            most = SEGMENTS_PER_DAY_MAX
            yield ProgramRefusal(ErrorCode.SEGMENTS, number, WHOLE, group.n_segments, most, most)
        days |= group.day_mask
    if days & EVERY_DAY != EVERY_DAY:
        yield ProgramRefusal(ErrorCode.SEGMENTS, WHOLE, WHOLE, days, EVERY_DAY, EVERY_DAY)
    for number, (_, rows) in enumerate(_groups(header, segments)):
        yield from _refused_starts(number, rows)


def _refused_starts(number: int, rows: Sequence[Segment]) -> Iterator[ProgramRefusal]:
    """Refuse segments that do not start at 0, each further one later than the one before it and within the day."""
    earliest = 0
    for index, segment in enumerate(rows):
        start = segment.start_min
        latest = 0 if index == 0 else MINUTES_PER_DAY - 1
        if not earliest <= start <= latest:
            limit = earliest if start < earliest else latest
            yield ProgramRefusal(ErrorCode.TIME_RANGE, number, index, start, limit, limit)
        earliest = start + 1


def _refused_rates(
    header: ProgramHeader, segments: Sequence[Segment], limits: PumpModel
) -> Iterator[ProgramRefusal]:
    """Refuse rates that the pump cannot run, with the nearest that it can."""
    lowest, highest = limits.rate_min_nl_per_day, limits.rate_max_nl_per_day
    if header.mode is InfusionMode.MINIMUM_RATE:
        lowest = highest = limits.safe_rate_nl_per_day
    for number, (_, rows) in enumerate(_groups(header, segments)):
        for index, segment in enumerate(rows):
            rate = segment.rate_nl_per_day
            nearest = min(max(rate, lowest), highest)
            if rate != nearest:
                yield ProgramRefusal(ErrorCode.RATE, number, index, rate, nearest, nearest)


def _refused_day(
    header: ProgramHeader, number: int, group: Group, n_rows: int, total_nl: int, limits: PumpModel
) -> Iterator[ProgramRefusal]:
    """Refuse a day that holds too much, or another dose than was prescribed: mcg for mg, a wrong concentration."""
    maximum_nl, with_boluses_nl = limits.program_day_max_nl, total_nl + boluses_nl_per_day(header)
    if with_boluses_nl > maximum_nl:
        yield ProgramRefusal(ErrorCode.DAY_MAX, number, WHOLE, with_boluses_nl, maximum_nl, maximum_nl)
    concentration = header.concentration_ng_per_ml
    if not concentration:
        yield ProgramRefusal(ErrorCode.CONC, number, WHOLE, 0, 1, 1)
        return
    dose = group.dose_ng_per_day
    if abs(total_nl * concentration - dose * NL_PER_ML) > n_rows * concentration + NL_PER_ML:
        given = dose_of(total_nl, concentration)
        yield ProgramRefusal(ErrorCode.DOSE, number, WHOLE, dose, given, given)
