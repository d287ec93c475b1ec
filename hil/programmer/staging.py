"""Builds programs, stages them in a pump and has it read them back.

Staging lives in a session; where the session dies, it is done again from its start. Nothing changes before
the commit, and the commit is a command like any other: never twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, TypedDict, cast

from hil.errors import DeviceError, UsageError
from hil.procedures.doses import dose_for_rate_ng_per_day, nearest, rate_for_dose_nl_per_day
from hil.programmer.encoding import expect, expect_row, plain
from hil.refusal_words import sentence_of_program_refusals
from protocol.identifiers import CommitMode, InfusionMode, ProgramFlag
from protocol.messages.program import (
    GROUPS_MAX,
    SEGMENTS_PER_WRITE_MAX,
    BridgeBlock,
    Group,
    PatientBlock,
    PeriodicBlock,
    ProgBegin,
    ProgramHeader,
    ProgVerify,
    ProgVerifyReply,
    ProgWrite,
    Segment,
    padded_groups,
    staged_crc,
)
from protocol.messages.reading import GetInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from hil.deadline import Deadline
    from hil.programmer.requester import Requester
    from protocol.messages.program import ProgramRefusal
    from protocol.messages.reading import GetLimitsReply

STAGINGS = 3  # of the same program, where sessions die
EVERY_DAY = 0b111_1111
MINUTES_PER_DAY, MINUTES_PER_HOUR, HOURS_PER_DAY = 1_440, 60, 24


class Days(IntFlag):
    """Days of the local week, as a group of a program names them [SPEC 6]."""

    MONDAY = 1
    TUESDAY = 2
    WEDNESDAY = 4
    THURSDAY = 8
    FRIDAY = 16
    SATURDAY = 32
    SUNDAY = 64
    WORKDAYS = 0b001_1111
    WEEKEND = 0b110_0000
    EVERY_DAY = 0b111_1111


class DoseStep(NamedTuple):
    """A dose per hour, from a minute of the local day until the next step or midnight."""

    start_min: int
    dose_ng_per_hour: int


class DayGroup(NamedTuple):
    """Days that share one course of the day: up to 13 steps, the first at minute 0."""

    days: Days
    steps: tuple[DoseStep, ...]

    @property
    def dose_ng_per_day(self) -> int:
        """What its steps add up to in a day, to the nearest ng."""
        ends = [*(step.start_min for step in self.steps[1:]), MINUTES_PER_DAY]
        return nearest(
            sum(
                (
                    Fraction(step.dose_ng_per_hour * (end - step.start_min), MINUTES_PER_HOUR)
                    for step, end in zip(self.steps, ends[: len(self.steps)], strict=True)
                ),
                start=Fraction(0),
            )
        )


ADVICE_OF_REFUSAL = {
    CommitMode.ATOMIC: "nothing was changed",
    CommitMode.STOP_WRITE_VERIFY_RESTART: (
        "this pump stands still while it is programmed, and does so now: program it, or start its old program with "
        "`pumpbench program resume`"
    ),
}


class ProgramRefused(DeviceError):
    """The pump read the staged program and would not run it."""

    def __init__(
        self,
        refusals: Sequence[ProgramRefusal],
        *,
        flexible: bool = False,
        commit_mode: CommitMode = CommitMode.ATOMIC,
    ) -> None:
        """Of a flexible program each reason is told with its group and step."""
        reasons = sentence_of_program_refusals(refusals, with_places=flexible)
        super().__init__(f"the pump refuses this program ({reasons})", advice=ADVICE_OF_REFUSAL[commit_mode])
        self.refusals = tuple(refusals)


@dataclass(frozen=True, slots=True)
class StagedProgram:
    """A program that the pump has verified without refusals, and its reading of it."""

    base_rev: int
    header: ProgramHeader
    segments: tuple[Segment, ...]
    verified: ProgVerifyReply

    @property
    def crc(self) -> int:
        """What a commit names it by."""
        return self.verified.staged_crc


def simple_program(
    dose_ng_per_day: int, concentration_ng_per_ml: int, drug_id: int
) -> tuple[ProgramHeader, tuple[Segment, ...]]:
    """Simple continuous infusion of a dose: one rate, every day, to the nearest nL/day."""
    if concentration_ng_per_ml <= 0:
        raise UsageError(
            "a dose needs a concentration above 0", advice="refill first, or name the concentration"
        )
    rate_nl_per_day = rate_for_dose_nl_per_day(dose_ng_per_day, concentration_ng_per_ml)
    header = simple_header(dose_ng_per_day, concentration_ng_per_ml, drug_id)
    return header, (Segment(0, rate_nl_per_day),)


def simple_header(dose_ng_per_day: int, concentration_ng_per_ml: int, drug_id: int) -> ProgramHeader:
    """The header of simple continuous infusion of a dose."""
    return ProgramHeader(
        mode=InfusionMode.SIMPLE,
        n_groups=1,
        n_segments=1,
        flags=ProgramFlag(0),
        drug_id=drug_id,
        concentration_ng_per_ml=concentration_ng_per_ml,
        groups=padded_groups([Group(EVERY_DAY, 1, dose_ng_per_day)]),
    )


def day_groups(groups: object) -> tuple[DayGroup, ...]:
    """Groups of days as a caller gave them, their numbers made plain; UsageError for what is none, by its place."""

    def whole(name: str, value: object) -> int:
        return expect(name, plain(value), int, "a whole number")

    rows = expect_row("groups", groups, DayGroup, "a DayGroup")
    return tuple(
        DayGroup(
            cast("Days", whole(f"groups[{number}].days", group.days)),  # Days(-1) would be every day
            tuple(
                DoseStep(
                    whole(f"groups[{number}].steps[{index}].start_min", step.start_min),
                    whole(f"groups[{number}].steps[{index}].dose_ng_per_hour", step.dose_ng_per_hour),
                )
                for index, step in enumerate(
                    expect_row(f"groups[{number}].steps", group.steps, DoseStep, "a DoseStep")
                )
            ),
        )
        for number, group in enumerate(rows)
    )


def flex_program(
    groups: Sequence[DayGroup], concentration_ng_per_ml: int, drug_id: int
) -> tuple[ProgramHeader, tuple[Segment, ...]]:
    """Infusion by the time of day, each step at the rate that comes nearest to its dose."""
    if concentration_ng_per_ml <= 0:
        raise UsageError(
            "a dose needs a concentration above 0", advice="refill first, or name the concentration"
        )
    segments = tuple(
        Segment(
            step.start_min,
            rate_for_dose_nl_per_day(step.dose_ng_per_hour * HOURS_PER_DAY, concentration_ng_per_ml),
        )
        for group in groups
        for step in group.steps
    )
    return flex_header(groups, concentration_ng_per_ml, drug_id), segments


def flex_header(groups: Sequence[DayGroup], concentration_ng_per_ml: int, drug_id: int) -> ProgramHeader:
    """The header of infusion by the time of day."""
    if len(groups) > GROUPS_MAX:
        raise UsageError(
            f"{len(groups)} groups of days, and a week has {GROUPS_MAX}", advice="put each day in one group"
        )
    return ProgramHeader(
        mode=InfusionMode.FLEX,
        n_groups=len(groups),
        n_segments=sum(len(group.steps) for group in groups),
        flags=ProgramFlag(0),
        drug_id=drug_id,
        concentration_ng_per_ml=concentration_ng_per_ml,
        groups=padded_groups(
            Group(int(group.days), len(group.steps), group.dose_ng_per_day) for group in groups
        ),
    )


class ProgramOptions(TypedDict, total=False):
    """What a program may be given besides its rates; what is left out, or None, is as the comment says."""

    concentration_ng_per_ml: int | None  # the active program's
    drug_id: int | None  # the active program's
    patient: PatientBlock | None  # a bolus that the patient may ask for: none
    periodic: PeriodicBlock | None  # boluses that come by themselves: none
    bridge: BridgeBlock | None  # a volume of the old drug before the program, at a rate: none
    base_rev: int | None  # the revision that the program follows: the present one


class Chosen(NamedTuple):
    """The options of a program, each said."""

    concentration_ng_per_ml: int | None = None
    drug_id: int | None = None
    patient: PatientBlock | None = None
    periodic: PeriodicBlock | None = None
    bridge: BridgeBlock | None = None
    base_rev: int | None = None

    def added_to(self, header: ProgramHeader) -> ProgramHeader:
        """The header with the blocks that were chosen; UsageError for one of another type."""
        for name, flag, kind in _BLOCKS:
            block = getattr(self, name)
            if block is not None:
                expect(name, block, kind, f"a {kind.__name__}")
                header = header._replace(flags=header.flags | flag, **{name: block})
        return header


def chosen_by(options: ProgramOptions) -> Chosen:
    """The options that were said; UsageError for one that there is not."""
    unknown = ", ".join(name for name in options if name not in Chosen._fields)
    if unknown:
        raise UsageError(f"a program has no option {unknown}; it has {', '.join(Chosen._fields)}")
    return Chosen(**options)


_BLOCKS: Final[tuple[tuple[str, ProgramFlag, type], ...]] = (
    ("patient", ProgramFlag.PATIENT, PatientBlock),
    ("periodic", ProgramFlag.PERIODIC, PeriodicBlock),
    ("bridge", ProgramFlag.BRIDGE, BridgeBlock),
)


def minimum_rate_program(
    concentration_ng_per_ml: int, drug_id: int, rate_nl_per_day: int
) -> tuple[ProgramHeader, tuple[Segment, ...]]:
    """Minimum-rate mode: the pump only keeps its path open."""
    dose_ng_per_day = int(dose_for_rate_ng_per_day(rate_nl_per_day, concentration_ng_per_ml))
    header, segments = simple_program(dose_ng_per_day, concentration_ng_per_ml, drug_id)
    return header._replace(mode=InfusionMode.MINIMUM_RATE), (
        segments[0]._replace(rate_nl_per_day=rate_nl_per_day),
    )


class Draft(NamedTuple):
    """A program whose drug is not known yet: its header alone, and all of it, by concentration and drug."""

    header_of: Callable[[int, int], ProgramHeader]
    program_of: Callable[[int, int], tuple[ProgramHeader, tuple[Segment, ...]]]


def simple_draft(dose_ng_per_day: int) -> Draft:
    """Simple continuous infusion of a dose."""
    return Draft(partial(simple_header, dose_ng_per_day), partial(simple_program, dose_ng_per_day))


def flex_draft(groups: Sequence[DayGroup]) -> Draft:
    """Infusion by the time of day."""
    groups = day_groups(groups)
    return Draft(partial(flex_header, groups), partial(flex_program, groups))


def minimum_rate_draft(limits: Callable[[], GetLimitsReply]) -> Draft:
    """The lowest rate of a pump, which is asked for it when nothing else is wrong."""

    def program_of(concentration: int, drug: int) -> tuple[ProgramHeader, tuple[Segment, ...]]:
        return minimum_rate_program(concentration, drug, limits().safe_rate_nl_per_day)

    return Draft(partial(simple_header, 0), program_of)


def staging_requests(
    base_rev: int, header: ProgramHeader, segments: tuple[Segment, ...]
) -> Iterator[ProgBegin | ProgWrite]:
    """What carries a program to the pump, in order."""
    yield ProgBegin(base_rev, header)
    for index in range(0, len(segments), SEGMENTS_PER_WRITE_MAX):
        yield ProgWrite(index, segments[index : index + SEGMENTS_PER_WRITE_MAX])


def stage_once(
    requester: Requester,
    base_rev: int,
    header: ProgramHeader,
    segments: tuple[Segment, ...],
    deadline: Deadline,
) -> StagedProgram:
    """Stage a program in one session and let the pump read it back; LinkError where the session died on the way.

    ProgramRefused where the pump would not run it.
    """
    requester.ensure_session(deadline)
    for request in staging_requests(base_rev, header, segments):
        requester.request_once(request, deadline)
    verified = requester.request_once(ProgVerify(), deadline)
    if verified.refusals:
        commit_mode = requester.request_once(GetInfo(), deadline).commit_mode
        flexible = header.mode is InfusionMode.FLEX
        raise ProgramRefused(verified.refusals, flexible=flexible, commit_mode=commit_mode)
    if verified.staged_crc != staged_crc(header, segments):
        raise DeviceError(
            "the pump reads another program than was staged",
            advice="do not commit it; check its firmware",
        )
    return StagedProgram(base_rev, header, segments, verified)
