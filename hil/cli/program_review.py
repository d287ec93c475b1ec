"""What a human sees and says before a program is written: old and new, the pump's own reading, warnings, a yes.

Nothing of it changes the pump: a program is staged for its reading, and staged anew once the yes is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import click

from hil.cli.connection import confirm
from hil.cli.output import say
from hil.cli.tables import table
from hil.errors import BadConfiguration, UsageError
from hil.programs.checks import daily_echo, refusals
from hil.programs.infusion_program import InfusionProgram
from hil.programs.review import reading_rows, review_lines, settings
from hil.programs.warnings import NAMES, PumpNow, Warned, warnings
from hil.quantity_words import mcg_per_day, mcg_per_ml
from protocol.identifiers import InfusionMode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hil.cli.tables import Rows
    from hil.programmer.command_ledger import Executed
    from hil.programmer.programmer import Programmer
    from hil.programmer.staging import StagedProgram
    from protocol.messages.program import ProgCommitReply

UNCHANGED = "nothing was changed"
ACCEPT = click.option(
    "--accept",
    "accepted",
    multiple=True,
    type=click.Choice(NAMES),
    help="Confirm a warning by its name, in scripts; --yes alone confirms none.",
)


class Reviewed(NamedTuple):
    """A program that this side and the pump have checked, with what is to be shown and confirmed of it."""

    base_rev: int
    active: InfusionProgram | None
    program: InfusionProgram
    staged: StagedProgram
    warned: list[Warned]

    @property
    def lines(self) -> list[str]:
        """Old and new side by side, the pump's own reading, and what is warned of."""
        rows: Rows = [
            *((f"{name}, in a day", echo) for name, echo in daily_echo(self.program)),
            *reading_rows(self.program, self.staged.verified),
            *warning_rows(self.warned),
        ]
        return [*review_lines(settings(self.active, self.program)), table(rows)]


def warning_rows(warned: Sequence[Warned]) -> Rows:
    """A row for each warning, by which it stays visible."""
    return [("warning", f"{each.name}: {each.sentence}") for each in warned]


def active_program(pump: Programmer) -> InfusionProgram | None:
    """The program that the pump has; None where it has none."""
    reply = pump.program()
    if reply.header.mode is InfusionMode.NONE:
        return None
    return InfusionProgram.from_wire(reply.header, reply.segments)


def reviewed(pump: Programmer, program: InfusionProgram, *, file: str = "") -> Reviewed:
    """Check a program here, let the pump read it, and see what there is to confirm; nothing is changed by it.

    BadConfiguration says in the words of the file, where there is one, why it cannot be run, ProgramRefused in those
    of the pump.
    """
    base_rev = pump.status().program_rev  # read first: what changes after it is refused
    active, limits = active_program(pump), pump.limits()
    if file and (found := refusals(program, limits)):
        raise BadConfiguration(f"{file}: {'; '.join(found)}", advice="nothing was sent")
    resolved = program.for_pump(limits.safe_rate_nl_per_day)
    staged = pump.stage_program(*resolved.on_wire(), base_rev=base_rev)
    pump.abort_program()  # it was staged to be read; whoever says no leaves nothing behind
    held = pump.reservoir()
    now = PumpNow(active, held.reservoir_calc_nl, held.low_alarm_nl)
    return Reviewed(base_rev, active, resolved, staged, warnings(resolved, now))


def refuse_another_drug(seen: Reviewed) -> None:
    """Refuse, before anybody is asked, what the pump would refuse: another drug comes with a refill."""
    active, program = seen.active, seen.program
    if active is None:
        return
    old = active.drug_id, active.concentration_ng_per_ml
    if old != (program.drug_id, program.concentration_ng_per_ml):
        raise UsageError(
            f"the program is for drug number {program.drug_id} of {mcg_per_ml(program.concentration_ng_per_ml)}, and "
            f"the reservoir holds drug number {active.drug_id} of {mcg_per_ml(active.concentration_ng_per_ml)}",
            advice="nothing was changed: another drug comes with its refill, `pumpbench program refill`",
        )


def written_as_confirmed(
    pump: Programmer,
    seen: Reviewed,
    *,
    start: bool,
    accept: Callable[[Warned], None],
    ask: Callable[[str], None],
    question: str = "",
) -> Executed[ProgCommitReply]:
    """Write what was reviewed, unless one of the questions raises. CommandRefused where the pump's program changed."""
    for line in seen.lines:
        say(line)
    for each in seen.warned:
        accept(each)
    ask(question or f"write {summary(seen.program)} in place of {summary(seen.active)}")
    return pump.write_program(seen.program, start=start, base_rev=seen.base_rev)


def summary(program: InfusionProgram | None) -> str:
    """A program in a few words: its doses and its concentration."""
    if program is None:
        return "no program"
    doses = sorted({course.dose_ng_per_day for course in program.courses})
    words = " or ".join(mcg_per_day(dose) for dose in doses)
    return f"{words} of {mcg_per_ml(program.concentration_ng_per_ml)}"


def accepting(accepted: Sequence[str]) -> Callable[[Warned], None]:
    """What confirms warnings: those that were named on the command line, the others by a human at the terminal."""

    def accept(warned: Warned) -> None:
        confirm(
            f"{warned.name}: {warned.sentence}; go on all the same",
            yes=warned.name in accepted,
            otherwise=UNCHANGED,
            option=f"--accept {warned.name}",
        )

    return accept
