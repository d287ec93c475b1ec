"""Programs: staged, read back as the pump reads them, and committed in one stroke.

Staging lives in a session; where the session dies, it is done again from its start. Nothing changes before
the commit, and the commit is a command like any other: never twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hil.errors import DeviceError, LinkError, NotExecuted, UsageError
from hil.procedures import rate_for_dose_nl_per_day
from hil.programmer.reading import Reading
from protocol.identifiers import InfusionMode, ProgramFlag
from protocol.messages.program import (
    SEGMENTS_PER_WRITE_MAX,
    Group,
    ProgAbort,
    ProgBegin,
    ProgCommit,
    ProgCommitReply,
    ProgramHeader,
    ProgVerify,
    ProgVerifyReply,
    ProgWrite,
    Segment,
    padded_groups,
    staged_crc,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hil.deadline import Deadline
    from hil.programmer.ledger import Executed
    from protocol.messages.program import ProgramRefusal

STAGINGS = 3  # of the same program, where sessions die
EVERY_DAY = 0b111_1111


class ProgramRefused(DeviceError):
    """The pump read the staged program and would not run it."""

    def __init__(self, refusals: Sequence[ProgramRefusal]) -> None:
        reasons = "; ".join(
            f"{r.code.name}: value {r.value}, limit {r.limit}, nearest acceptable {r.nearest}"
            for r in refusals
        )
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
    header = ProgramHeader(
        mode=InfusionMode.SIMPLE,
        n_groups=1,
        n_segments=1,
        flags=ProgramFlag(0),
        drug_id=drug_id,
        concentration_ng_per_ml=concentration_ng_per_ml,
        groups=padded_groups([Group(EVERY_DAY, 1, dose_ng_per_day)]),
    )
    return header, (Segment(0, rate_nl_per_day),)


def minimum_rate_program(
    concentration_ng_per_ml: int, drug_id: int, rate_nl_per_day: int
) -> tuple[ProgramHeader, tuple[Segment, ...]]:
    """Minimum-rate mode: the pump only keeps its path open."""
    dose_ng_per_day = rate_nl_per_day * concentration_ng_per_ml // 1_000_000
    header, segments = simple_program(dose_ng_per_day, concentration_ng_per_ml, drug_id)
    return header._replace(mode=InfusionMode.MINIMUM_RATE), (
        segments[0]._replace(rate_nl_per_day=rate_nl_per_day),
    )


class Staging(Reading):
    """Staging and committing programs."""

    def stage_program(
        self, header: ProgramHeader, segments: Sequence[Segment], *, base_rev: int | None = None
    ) -> StagedProgram:
        """Stage a program and let the pump read it back; ProgramRefused if it would not run it."""
        deadline = self._deadline()
        for attempt in range(STAGINGS):
            try:
                return self._stage_once(header, tuple(segments), base_rev, deadline)
            except LinkError:
                if attempt == STAGINGS - 1 or deadline.passed(self._session.now_ms()):
                    raise
        raise AssertionError("the last attempt returns or raises")

    def stage_simple_program(
        self,
        dose_ng_per_day: int,
        *,
        concentration_ng_per_ml: int | None = None,
        drug_id: int | None = None,
        base_rev: int | None = None,
    ) -> StagedProgram:
        """Stage simple continuous infusion of a dose.

        Drug and concentration are the active program's unless named; `base_rev` is its revision, None for the present.
        """
        if concentration_ng_per_ml is None or drug_id is None:
            active = self.program().header
            if concentration_ng_per_ml is None:  # 0 is a number, and a wrong one
                concentration_ng_per_ml = active.concentration_ng_per_ml
            drug_id = active.drug_id if drug_id is None else drug_id
        header, segments = simple_program(dose_ng_per_day, concentration_ng_per_ml, drug_id)
        return self.stage_program(header, segments, base_rev=base_rev)

    def commit_program(self, staged: StagedProgram, *, start: bool = True) -> Executed[ProgCommitReply]:
        """Make the staged program the active one, in one stroke. CommandRefused if the pump has another by now."""
        return self._command(
            lambda cmd_id: ProgCommit(cmd_id, staged.base_rev, staged.crc, start),
            resend=False,  # what it names died with the session
        )

    def set_simple_program(
        self,
        dose_ng_per_day: int,
        *,
        concentration_ng_per_ml: int | None = None,
        drug_id: int | None = None,
        start: bool = True,
        base_rev: int | None = None,
    ) -> Executed[ProgCommitReply]:
        """Stage, verify and commit simple continuous infusion of a dose; staged again if the commit never arrived.

        `base_rev` is the revision of the program that it replaces: refused where the pump has another one by then.
        """
        for attempt in range(STAGINGS):
            staged = self.stage_simple_program(
                dose_ng_per_day,
                concentration_ng_per_ml=concentration_ng_per_ml,
                drug_id=drug_id,
                base_rev=base_rev,
            )
            try:
                return self.commit_program(staged, start=start)
            except NotExecuted:
                if attempt == STAGINGS - 1:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def abort_program(self) -> None:
        """Throw the staged program away."""
        self.request(ProgAbort())

    def begin_program(self, base_rev: int, header: ProgramHeader) -> None:
        """PROG_BEGIN alone, for tests of staging."""
        self.request(ProgBegin(base_rev, header))

    def write_segments(self, index: int, segments: Sequence[Segment]) -> int:
        """PROG_WRITE alone; returns how many segments are staged."""
        deadline = self._deadline()
        self._ensure_session(deadline)
        return self._request_once(ProgWrite(index, tuple(segments)), deadline).count

    def verify_program(self) -> ProgVerifyReply:
        """PROG_VERIFY alone: the pump's own reading of what is staged, refusals and all."""
        deadline = self._deadline()
        self._ensure_session(deadline)
        return self._request_once(ProgVerify(), deadline)

    def _stage_once(
        self, header: ProgramHeader, segments: tuple[Segment, ...], base_rev: int | None, deadline: Deadline
    ) -> StagedProgram:
        if base_rev is None:
            base_rev = self.status().program_rev
        self._ensure_session(deadline)
        self._request_once(ProgBegin(base_rev, header), deadline)
        for index in range(0, len(segments), SEGMENTS_PER_WRITE_MAX):
            part = segments[index : index + SEGMENTS_PER_WRITE_MAX]
            self._request_once(ProgWrite(index, part), deadline)
        verified = self._request_once(ProgVerify(), deadline)
        if verified.refusals:
            raise ProgramRefused(verified.refusals)
        if verified.staged_crc != staged_crc(header, segments):
            raise DeviceError(
                "the pump reads another program than was staged",
                advice="do not commit it; check its firmware",
            )
        return StagedProgram(base_rev, header, segments, verified)
