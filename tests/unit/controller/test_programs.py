"""Programs: from dose to rate, what a day holds, and what is refused."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_emu.controller.therapy.programs import (
    EVERY_DAY,
    WHOLE,
    Program,
    Unsupported,
    dose_of,
    rate_for_dose,
    unsupported,
    verify,
)
from firmware_emu.profile import PumpModel
from protocol.codec.layouts import path_offset
from protocol.identifiers import ErrorCode, InfusionMode, ProgramFlag
from protocol.messages.program import (
    BridgeBlock,
    Group,
    PatientBlock,
    PeriodicBlock,
    ProgramHeader,
    ProgramRefusal,
    Segment,
    padded_groups,
)
from tests.support.for_each import for_each

LIMITS = PumpModel(
    rate_min_nl_per_day=48_000,
    rate_max_nl_per_day=24_000_000,
    safe_rate_nl_per_day=6_000,
    program_day_max_nl=5_000_000,
)
MCG_PER_ML = 1_000  # ng/mL


def refusals_of(
    header: ProgramHeader, *segments: Segment, program_day_max_nl: int = LIMITS.program_day_max_nl
) -> tuple[ProgramRefusal, ...]:
    return verify(header, segments, replace(LIMITS, program_day_max_nl=program_day_max_nl)).refusals


def simple(dose_mcg: float, concentration_mcg: int) -> Program:
    return Program.simple(1, concentration_mcg * MCG_PER_ML, int(dose_mcg * 1_000))


def flex(*groups: tuple[int, int, int]) -> ProgramHeader:
    rows = padded_groups(Group(*group) for group in groups)
    n_segments = sum(group[1] for group in groups)
    return ProgramHeader(InfusionMode.FLEX, len(groups), n_segments, ProgramFlag(0), 1, 500_000, groups=rows)


@for_each(
    ("dose_mcg", "concentration_mcg", "rate_nl_per_day"),
    [
        (300, 500, 600_000),  # WE-01
        (300, 2_000, 150_000),  # WE-02
        (100, 500, 200_000),  # WE-05
        (550, 1_000, 550_000),
        (800, 2_000, 400_000),
        (1_000, 2_000, 500_000),
    ],
)
def test_we_01_02_05_doses_become_rates(dose_mcg: int, concentration_mcg: int, rate_nl_per_day: int) -> None:
    program = simple(dose_mcg, concentration_mcg)
    assert program.rate_nl_per_day == rate_nl_per_day
    verification = verify(program.header, program.segments, LIMITS)
    assert verification.day_totals_nl == (rate_nl_per_day,)
    assert verification.peak_rate_nl_per_day == rate_nl_per_day
    assert verification.refusals == ()


def test_we_03_a_dose_below_the_lowest_rate_is_refused_with_the_nearest() -> None:
    program = simple(90, 2_000)
    assert refusals_of(program.header, *program.segments) == (
        ProgramRefusal(ErrorCode.RATE, 0, 0, 45_000, 48_000, 48_000),
    )


@for_each(("dose_mcg", "concentration_mcg"), [(96, 2_000), (48, 1_000), (24, 500), (2.4, 50)])
def test_we_04_the_lowest_rate_itself_is_accepted(dose_mcg: float, concentration_mcg: int) -> None:
    program = simple(dose_mcg, concentration_mcg)
    assert program.rate_nl_per_day == 48_000
    assert refusals_of(program.header, *program.segments) == ()


@for_each(("concentration_mcg", "dose_mcg"), [(500, 12_000), (1_000, 24_000), (2_000, 48_000)])
def test_we_06_the_highest_rate_is_accepted_where_the_day_may_hold_it(
    concentration_mcg: int, dose_mcg: int
) -> None:
    program = simple(dose_mcg, concentration_mcg)
    assert program.rate_nl_per_day == 24_000_000
    assert refusals_of(program.header, *program.segments, program_day_max_nl=24_000_000) == ()


@for_each(("concentration_mcg", "dose_mcg"), [(500, 3), (1_000, 6), (2_000, 12)])
def test_we_07_the_minimum_rate_is_the_safe_rate_and_no_other(concentration_mcg: int, dose_mcg: int) -> None:
    program = simple(dose_mcg, concentration_mcg)
    header = program.header._replace(mode=InfusionMode.MINIMUM_RATE)
    assert unsupported(header) is None
    assert refusals_of(header, *program.segments) == ()
    other = refusals_of(header, Segment(0, 6_001))
    assert other == (ProgramRefusal(ErrorCode.RATE, 0, 0, 6_001, 6_000, 6_000),)


def test_a_rate_above_the_highest_is_refused_with_the_nearest() -> None:
    program = simple(12_000, 500)
    refusals = refusals_of(program.header, Segment(0, 24_000_001), program_day_max_nl=24_000_001)
    assert refusals == (ProgramRefusal(ErrorCode.RATE, 0, 0, 24_000_001, 24_000_000, 24_000_000),)


def test_a_day_that_holds_too_much_is_refused() -> None:
    program = simple(2_500.001, 500)
    assert refusals_of(program.header, *program.segments) == (
        ProgramRefusal(ErrorCode.DAY_MAX, 0, WHOLE, 5_000_002, 5_000_000, 5_000_000),
    )
    largest = simple(2_500, 500)
    assert refusals_of(largest.header, *largest.segments) == ()


# FI 59
def test_milligrams_for_micrograms_are_refused() -> None:
    program = simple(300, 500)
    header = program.header._replace(groups=padded_groups([Group(EVERY_DAY, 1, 300_000_000)]))
    assert refusals_of(header, *program.segments) == (
        ProgramRefusal(ErrorCode.DOSE, 0, WHOLE, 300_000_000, 300_000, 300_000),
    )


def test_a_wrong_concentration_is_refused() -> None:
    header = simple(300, 500).header
    refusals = refusals_of(header, Segment(0, rate_for_dose(300_000, 2_000_000)))
    assert [refusal.code for refusal in refusals] == [ErrorCode.DOSE]
    assert refusals[0].nearest == 75_000


def test_no_concentration_is_refused() -> None:
    header = simple(300, 500).header._replace(concentration_ng_per_ml=0)
    assert refusals_of(header, Segment(0, 600_000)) == (ProgramRefusal(ErrorCode.CONC, 0, WHOLE, 0, 1, 1),)


@given(st.integers(1, 10**7), st.integers(50_000, 4_000_000))
def test_the_rate_of_a_dose_is_the_nearest_and_passes_the_dose_check(dose: int, concentration: int) -> None:
    rate = rate_for_dose(dose, concentration)
    wanted = dose * 10**6
    assert all(
        abs(rate * concentration - wanted) <= abs(other * concentration - wanted)
        for other in (rate - 1, rate + 1)
    )
    program = Program.simple(1, concentration, dose)
    codes = {refusal.code for refusal in refusals_of(program.header, *program.segments)}
    assert ErrorCode.DOSE not in codes


def test_the_dose_of_a_volume_is_rounded_to_the_nearest() -> None:
    assert [dose_of(volume, 500_000) for volume in (0, 1, 600_000)] == [0, 1, 300_000]


def test_we_37_segments_add_up_to_a_day_group_by_group() -> None:
    dose_rates_mcg_per_h = {0: 8, 360: 20, 480: 10, 960: 15, 1_200: 12}
    segments = [Segment(start, dose * 24 * 2_000) for start, dose in dose_rates_mcg_per_h.items()]
    header = flex((EVERY_DAY, 5, 276_000))
    verification = verify(header, segments, LIMITS)
    assert verification.day_totals_nl == (552_000,)
    assert verification.peak_rate_nl_per_day == 960_000
    assert verification.refusals == ()
    weekend = verify(flex((0x1F, 5, 276_000), (0x60, 1, 300_000)), [*segments, Segment(0, 600_000)], LIMITS)
    assert weekend.day_totals_nl == (552_000, 600_000)
    assert weekend.refusals == ()


@for_each(
    ("starts", "index", "value", "nearest"),
    [
        ((1, 600), 0, 1, 0),
        ((0, 0), 1, 0, 1),
        ((0, 1_440), 1, 1_440, 1_439),
    ],
)
def test_segments_out_of_order_are_refused(
    starts: tuple[int, int], index: int, value: int, nearest: int
) -> None:
    segments = [Segment(start, 600_000) for start in starts]
    refusals = verify(flex((EVERY_DAY, 2, 300_000)), segments, LIMITS).refusals
    assert ProgramRefusal(ErrorCode.TIME_RANGE, 0, index, value, nearest, nearest) in refusals


@for_each(
    ("groups", "refusal"),
    [
        (((0x3F, 1, 300_000),), (WHOLE, 0x3F, EVERY_DAY)),
        (((0x7F, 1, 300_000), (0x40, 1, 300_000)), (1, 0x40, 0)),
        (((0xFF, 1, 300_000),), (0, 0xFF, EVERY_DAY)),
        (((0x7F, 1, 300_000), (0, 1, 300_000)), (1, 0, 0)),
    ],
)
def test_each_day_is_in_exactly_one_group(
    groups: tuple[tuple[int, int, int], ...], refusal: tuple[int, int, int]
) -> None:
    number, value, limit = refusal
    found = verify(flex(*groups), [Segment(0, 600_000)] * len(groups), LIMITS).refusals
    assert found == (ProgramRefusal(ErrorCode.SEGMENTS, number, WHOLE, value, limit, limit),)


def test_missing_segments_are_refused() -> None:
    refusals = verify(simple(300, 500).header, [], LIMITS).refusals
    assert refusals[0] == ProgramRefusal(ErrorCode.SEGMENTS, WHOLE, WHOLE, 0, 1, 1)


def test_a_simple_program_has_one_segment() -> None:
    header = flex((EVERY_DAY, 2, 300_000))._replace(mode=InfusionMode.SIMPLE)
    refusals = verify(header, [Segment(0, 600_000), Segment(720, 600_000)], LIMITS).refusals
    assert refusals == (ProgramRefusal(ErrorCode.SEGMENTS, WHOLE, WHOLE, 2, 1, 1),)


def test_at_most_eight_refusals_are_told_and_none_is_wider_than_its_field() -> None:
    segments = [Segment(minute, 0xFFFF_FFFF) for minute in range(20)]
    header = flex((EVERY_DAY, 20, 0xFFFF_FFFF))._replace(concentration_ng_per_ml=0xFFFF_FFFF)
    refusals = verify(header, segments, LIMITS).refusals
    assert len(refusals) == 8
    lone = verify(
        flex((EVERY_DAY, 1, 0))._replace(concentration_ng_per_ml=0xFFFF_FFFF), [Segment(0, 10**9)], LIMITS
    )
    assert lone.refusals[-1].nearest == 0xFFFF_FFFF


@for_each(
    ("change", "refused"),
    [
        ({"mode": InfusionMode.NONE}, (ErrorCode.ENUM, 0)),
        ({"n_groups": 0}, (ErrorCode.SEGMENTS, 1)),
        ({"n_groups": 8}, (ErrorCode.SEGMENTS, 1)),
        ({"n_segments": 0}, (ErrorCode.SEGMENTS, 2)),
        ({"n_segments": 92}, (ErrorCode.SEGMENTS, 2)),
        ({"periodic": PeriodicBlock(1)}, (ErrorCode.RESERVED_BITS, 12)),
        ({"patient": PatientBlock(max_count=1)}, (ErrorCode.RESERVED_BITS, 28)),
        ({"bridge": BridgeBlock(1)}, (ErrorCode.RESERVED_BITS, 48)),
        ({"groups": padded_groups([Group(EVERY_DAY, 1, 1), Group(1)])}, (ErrorCode.RESERVED_BITS, 62)),
    ],
)
def test_what_this_pump_cannot_take_is_refused_at_the_beginning(
    change: dict[str, Any], refused: tuple[ErrorCode, int]
) -> None:
    answer = unsupported(simple(300, 500).header._replace(**change))
    assert isinstance(answer, Unsupported)
    assert (answer.code, path_offset(ProgramHeader, answer.field)) == refused


@for_each("mode", [InfusionMode.MINIMUM_RATE, InfusionMode.SIMPLE, InfusionMode.FLEX])
def test_each_mode_but_none_can_be_staged(mode: InfusionMode) -> None:
    assert unsupported(simple(300, 500).header._replace(mode=mode)) is None


@for_each(("count", "refused"), [(13, False), (14, True)])
def test_a_day_has_at_most_thirteen_segments(count: int, refused: bool) -> None:
    segments = [Segment(minute, 600_000) for minute in range(count)]
    found = verify(flex((EVERY_DAY, count, 300_000)), segments, LIMITS).refusals
    assert found == ((ProgramRefusal(ErrorCode.SEGMENTS, 0, WHOLE, 14, 13, 13),) if refused else ())


def test_a_week_of_seven_days_with_thirteen_segments_each_is_accepted_with_each_day_total() -> None:
    segments = [Segment(100 * number, 48_000 + day) for day in range(7) for number in range(13)]
    header = flex(*((1 << day, 13, (48_000 + day) // 2) for day in range(7)))
    found = verify(header, segments, LIMITS)
    assert found == (tuple(48_000 + day for day in range(7)), 48_006, ())


def test_a_flexible_program_keeps_the_last_constant_rate_of_the_same_drug() -> None:
    flexible = Program(flex((EVERY_DAY, 1, 300_000)), (Segment(0, 600_000),))
    after_simple = flexible.following(simple(250, 500), 6_000)
    assert after_simple.rate_nl_per_day == 500_000
    assert flexible.following(after_simple, 6_000).rate_nl_per_day == 500_000
    assert flexible.following(simple(250, 2_000), 6_000).rate_nl_per_day == 6_000
    assert flexible.following(None, 6_000).rate_nl_per_day == 6_000
    assert simple(300, 500).following(after_simple, 6_000) == simple(300, 500)
    assert Program.unpack(after_simple.pack()) == after_simple
    pickled = pickle.loads(pickle.dumps(after_simple))  # noqa: S301 - our own bytes
    for copied in (copy.deepcopy(after_simple), pickled):
        assert (copied, copied.week) == (after_simple, after_simple.week)
    with pytest.raises(ValueError, match="a program of 1 segments"):
        Program.unpack(after_simple.pack()[:-1])


def test_a_program_survives_packing_and_copying() -> None:
    program = simple(300, 500)
    assert Program.unpack(program.pack()) == program
    assert copy.deepcopy(program) == program
    assert Program.unpack(program.pack()).crc == program.crc
    with pytest.raises(ValueError, match="a program of 1 segments in 5 bytes"):
        Program.unpack(program.pack()[:-1])


def test_a_program_tells_what_it_asks_for() -> None:
    program = simple(300, 500)
    assert (program.header.mode, program.rate_nl_per_day) == (InfusionMode.SIMPLE, 600_000)
    assert program.header.groups[0].dose_ng_per_day == 300_000


@for_each(("dose_ng", "refused"), [(299_998, True), (299_999, False), (300_002, False), (300_003, True)])
def test_a_dose_may_miss_what_the_rates_give_by_a_nanolitre_a_segment_and_a_nanogram(
    dose_ng: int, refused: bool
) -> None:
    """300,000.5 ng are given; a nanolitre is 0.5 ng [SPEC 6, Meaning]."""
    header = simple(300, 500).header._replace(groups=padded_groups([Group(EVERY_DAY, 1, dose_ng)]))
    codes = [refusal.code for refusal in refusals_of(header, Segment(0, 600_001))]
    assert codes == [ErrorCode.DOSE] * refused


def test_a_segment_that_would_end_before_it_begins_holds_nothing() -> None:
    rate = 1_440 * 100
    segments = (Segment(0, rate), Segment(700, rate), Segment(100, rate))
    found = verify(flex((EVERY_DAY, 3, 0)), segments, LIMITS)
    assert found.day_totals_nl == ((700 + 0 + 1_340) * 100,)


def test_a_packed_program_without_segments_is_none() -> None:
    header = simple(300, 500).header._replace(n_segments=0)
    with pytest.raises(ValueError, match="a program of 0 segments in 0 bytes"):
        Program.unpack(replace(simple(300, 500), header=header, segments=()).pack())
