"""Staging, verifying and committing a program; all of it again where a session, and with it the staging, has died."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil.errors import LinkError, NotExecuted, UsageError
from hil.programmer.command_ledger import NO_CMD_ID
from hil.programmer.encoding import encoded, expect, expect_row
from hil.programmer.staging import STAGINGS, StagedProgram, stage_once, staging_requests
from hil.programs.checks import refusals
from hil.programs.infusion_program import InfusionProgram
from protocol.messages.program import ProgBegin, ProgCommit, Segment

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hil.programmer.command_ledger import Executed
    from hil.programmer.programmer import Programmer
    from hil.programmer.staging import Chosen, Draft
    from protocol.messages.program import ProgCommitReply, ProgramHeader

NOT_READ = 0
"""In place of what the pump will be asked for, where a field is tried before anything is sent."""


class ProgramWriting:
    """One programmer's way to the program of a pump."""

    def __init__(self, pump: Programmer) -> None:
        self._pump = pump

    def stage(
        self, header: ProgramHeader, segments: Sequence[Segment], base_rev: int | None
    ) -> StagedProgram:
        """Stage a program and let the pump read it back; ProgramRefused if it would not run it."""
        pump, rows = self._pump, expect_row("segments", segments, Segment, "a Segment")
        for wanted in staging_requests(NOT_READ if base_rev is None else base_rev, header, rows):
            encoded(wanted)  # before the first of them is sent
        deadline = pump.requester.deadline()

        def stage() -> StagedProgram:
            rev = pump.status().program_rev if base_rev is None else base_rev
            return stage_once(pump.requester, rev, header, rows, deadline)

        return pump.requester.again(stage, STAGINGS, LinkError, deadline)

    def stage_draft(self, draft: Draft, chosen: Chosen) -> StagedProgram:
        """Stage a program, what is not named from the active one; UsageError before the pump is asked for that."""
        named = (chosen.concentration_ng_per_ml, chosen.drug_id, chosen.base_rev)
        concentration, drug, rev = (NOT_READ if each is None else each for each in named)
        encoded(ProgBegin(rev, chosen.added_to(draft.header_of(concentration, drug))))
        header, segments = draft.program_of(
            *self.drug_or_active(chosen.concentration_ng_per_ml, chosen.drug_id)
        )
        return self._pump.stage_program(chosen.added_to(header), segments, base_rev=chosen.base_rev)

    def commit(self, staged: StagedProgram, *, start: bool) -> Executed[ProgCommitReply]:
        """Make the staged program the active one, in one stroke."""
        expect("staged", staged, StagedProgram, "what stage_program returned")
        return self._pump.ledger.execute(
            lambda cmd_id: ProgCommit(cmd_id, staged.base_rev, staged.crc, start),
            resend=False,  # what it names died with the session
        )

    def set(self, stage: Callable[[], StagedProgram], *, start: bool) -> Executed[ProgCommitReply]:
        """Stage and commit; both again where the commit never arrived."""
        encoded(ProgCommit(NO_CMD_ID, NOT_READ, NOT_READ, start))
        return self._pump.requester.again(lambda: self.commit(stage(), start=start), STAGINGS, NotExecuted)

    def write(
        self, program: InfusionProgram, *, start: bool, base_rev: int | None
    ) -> Executed[ProgCommitReply]:
        """Check, stage, verify and commit a program of any mode."""
        expect("program", program, InfusionProgram, "an InfusionProgram")
        limits = self._pump.limits()
        if found := refusals(program, limits):
            raise UsageError(
                f"this pump cannot run the program: {'; '.join(found)}", advice="nothing was sent"
            )
        header, segments = program.for_pump(limits.safe_rate_nl_per_day).on_wire()
        return self.set(lambda: self._pump.stage_program(header, segments, base_rev=base_rev), start=start)

    def drug_or_active(self, concentration_ng_per_ml: int | None, drug_id: int | None) -> tuple[int, int]:
        """A concentration and a drug: the active program's where they are not named. 0 is a name, and a wrong one."""
        if concentration_ng_per_ml is None or drug_id is None:
            active = self._pump.program().header
            if concentration_ng_per_ml is None:
                concentration_ng_per_ml = active.concentration_ng_per_ml
            drug_id = active.drug_id if drug_id is None else drug_id
        return concentration_ng_per_ml, drug_id
