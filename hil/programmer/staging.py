"""Builds programs, stages them in a pump and has it read them back.

Staging lives in a session; where the session dies, it is done again from its start. Nothing changes before
the commit, and the commit is a command like any other: never twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hil.errors import DeviceError, UsageError
from hil.procedures import dose_for_rate_ng_per_day, rate_for_dose_nl_per_day
from hil.refusal_words import sentence_of_program_refusals
from protocol.identifiers import InfusionMode, ProgramFlag
from protocol.messages.program import (
    SEGMENTS_PER_WRITE_MAX,
    Group,
    ProgBegin,
    ProgramHeader,
    ProgVerify,
    ProgVerifyReply,
    ProgWrite,
    Segment,
    padded_groups,
    staged_crc,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hil.deadline import Deadline
    from hil.programmer.requester import Requester
    from protocol.messages.program import ProgramRefusal

STAGINGS = 3  # of the same program, where sessions die
EVERY_DAY = 0b111_1111


class ProgramRefused(DeviceError):
    """The pump read the staged program and would not run it."""

    def __init__(self, refusals: Sequence[ProgramRefusal]) -> None:
        reasons = sentence_of_program_refusals(refusals)
        super().__init__(f"the pump refuses this program ({reasons})", advice="nothing was changed")
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


def minimum_rate_program(
    concentration_ng_per_ml: int, drug_id: int, rate_nl_per_day: int
) -> tuple[ProgramHeader, tuple[Segment, ...]]:
    """Minimum-rate mode: the pump only keeps its path open."""
    dose_ng_per_day = int(dose_for_rate_ng_per_day(rate_nl_per_day, concentration_ng_per_ml))
    header, segments = simple_program(dose_ng_per_day, concentration_ng_per_ml, drug_id)
    return header._replace(mode=InfusionMode.MINIMUM_RATE), (
        segments[0]._replace(rate_nl_per_day=rate_nl_per_day),
    )


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
        raise ProgramRefused(verified.refusals)
    if verified.staged_crc != staged_crc(header, segments):
        raise DeviceError(
            "the pump reads another program than was staged",
            advice="do not commit it; check its firmware",
        )
    return StagedProgram(base_rev, header, segments, verified)
