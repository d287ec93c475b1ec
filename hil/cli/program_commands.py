"""The commands of `pumpbench program` about whole programs: set, minimum-rate, flex, write, show."""

from __future__ import annotations

import functools
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from hil.cli.connection import Options, confirm, connected, require_target, show, with_options
from hil.cli.documents import CheckedPart
from hil.cli.program_review import (
    ACCEPT,
    UNCHANGED,
    accepting,
    active_program,
    refuse_another_drug,
    reviewed,
    warning_rows,
    written_as_confirmed,
)
from hil.cli.quantities import MCG_PER_DAY
from hil.cli.stays_stopped import LEAVE_STOPPED, confirm_stays_stopped
from hil.cli.therapy_commands import CONCENTRATION as CONCENTRATION_OPTION
from hil.cli.therapy_commands import DRUG, YES, report
from hil.errors import UsageError
from hil.procedures.doses import rate_for_dose_nl_per_day
from hil.programs.infusion_program import InfusionProgram
from hil.programs.measures import CONCENTRATION
from hil.programs.reading import program_of_document, read_program
from hil.programs.review import settings
from hil.programs.writing import toml_text
from hil.quantity_words import U32_MAX, mcg_per_day, mcg_per_ml, ml_per_day

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.cli.program_review import Reviewed
    from hil.programmer.command_ledger import Executed
    from hil.programmer.programmer import Programmer
    from hil.programs.warnings import Warned
    from protocol.messages.program import ProgCommitReply

START = click.option("--start/--no-start", default=True, help="Run the program, or keep the pump's state.")


class Consent(NamedTuple):
    """What was said of a new program on the command line: whether it starts, and to what it says yes."""

    start: bool
    accepted: tuple[str, ...]
    yes: bool
    leave_stopped: bool

    @property
    def accept(self) -> Callable[[Warned], None]:
        """What a warning is put to."""
        return accepting(self.accepted)

    @property
    def ask(self) -> Callable[[str], None]:
        """What the question is put to."""
        return partial(confirm, yes=self.yes, otherwise=UNCHANGED)


def with_consent(command: Callable[..., None]) -> Callable[..., None]:
    """The command, with the options that each one has which writes a program."""

    @functools.wraps(command)
    def wrapped(
        *, start: bool, accepted: tuple[str, ...], yes: bool, leave_stopped: bool, **others: Any
    ) -> None:
        command(consent=Consent(start, accepted, yes, leave_stopped), **others)

    return START(ACCEPT(YES(LEAVE_STOPPED(wrapped))))


@click.command(name="set")
@click.option("--dose", "dose_ng_per_day", type=MCG_PER_DAY, required=True, help="Dose in mcg/day.")
@CONCENTRATION_OPTION
@DRUG
@with_consent
@with_options
def set_program(
    options: Options,
    *,
    dose_ng_per_day: int,
    concentration_ng_per_ml: int | None,
    drug_id: int | None,
    consent: Consent,
) -> None:
    """Program simple continuous infusion of a dose."""
    require_target(options)
    with connected(options, settled=True) as pump:
        seen, executed = set_as_confirmed(
            pump,
            dose_ng_per_day,
            concentration_ng_per_ml=concentration_ng_per_ml,
            drug_id=drug_id,
            start=consent.start,
            accept=consent.accept,
            ask=consent.ask,
        )
        rate = seen.program.peak_rate_nl_per_day
        more = [("dose", mcg_per_day(dose_ng_per_day)), ("rate", ml_per_day(rate))]
        report(options, executed, more + warning_rows(seen.warned), fields=_warnings(seen))
        confirm_stays_stopped(options, pump, confirmed=consent.leave_stopped)


def set_as_confirmed(
    pump: Programmer,
    dose_ng_per_day: int,
    *,
    concentration_ng_per_ml: int | None = None,
    drug_id: int | None = None,
    start: bool = True,
    accept: Callable[[Warned], None] | None = None,
    ask: Callable[[str], None],
) -> tuple[Reviewed, Executed[ProgCommitReply]]:
    """Program what `ask` was told, unless it raises; returns what was reviewed too.

    CommandRefused where the pump's program changed since: drug and concentration may not be those of the question.
    """
    concentration, drug = named_or_active(pump, concentration_ng_per_ml, drug_id)
    rate_nl_per_day = rate_for_dose_nl_per_day(dose_ng_per_day, concentration)
    if rate_nl_per_day > U32_MAX:
        raise UsageError(
            f"--dose {mcg_per_day(dose_ng_per_day)} of {mcg_per_ml(concentration)} is {ml_per_day(rate_nl_per_day)}, "
            f"and a rate can be told up to {ml_per_day(U32_MAX)}",
            advice="look at dose and --concentration",
        )
    seen = reviewed(pump, InfusionProgram.simple(dose_ng_per_day, concentration, drug))
    executed = written_as_confirmed(
        pump,
        seen,
        start=start,
        accept=accept or accepting(()),
        ask=ask,
        question=f"program {mcg_per_day(dose_ng_per_day)} of {mcg_per_ml(concentration)} "
        f"({ml_per_day(rate_nl_per_day)})",
    )
    return seen, executed


def named_or_active(
    pump: Programmer, concentration_ng_per_ml: int | None, drug_id: int | None
) -> tuple[int, int]:
    """Concentration and drug: the active program's where they are not named."""
    active = pump.program().header
    concentration = (
        active.concentration_ng_per_ml if concentration_ng_per_ml is None else concentration_ng_per_ml
    )
    if concentration_ng_per_ml is None and not concentration:
        raise UsageError("the pump has no program yet", advice="name the drug's --concentration and --drug")
    if not concentration:
        raise UsageError("a drug has a concentration above 0", advice="name the one that is in the pump")
    return concentration, active.drug_id if drug_id is None else drug_id


@click.command(name="minimum-rate")
@CONCENTRATION_OPTION
@DRUG
@with_consent
@with_options
def minimum_rate(
    options: Options,
    *,
    concentration_ng_per_ml: int | None,
    drug_id: int | None,
    consent: Consent,
) -> None:
    """Program the lowest flow, which only keeps the path open."""
    require_target(options)
    with connected(options, settled=True) as pump:
        drug = named_or_active(pump, concentration_ng_per_ml, drug_id)
        seen = reviewed(pump, InfusionProgram.minimum_rate(*drug))
        _write(options, pump, seen, consent)


@click.command()
@click.argument("words", metavar="[DAYS] TIME=DOSE...", nargs=-1, required=True)
@CONCENTRATION_OPTION
@DRUG
@with_consent
@with_options
def flex(
    options: Options,
    *,
    words: tuple[str, ...],
    concentration_ng_per_ml: int | None,
    drug_id: int | None,
    consent: Consent,
) -> None:
    """Program doses by the time of day: `weekdays 00:00=8mcg/h 06:00=20mcg/h weekend 00:00=10mcg/h`.

    DAYS is every-day (where none is named), weekdays, weekend, or days as monday,friday; TIME is the pump's own.
    """
    require_target(options)
    groups = _groups(words)
    with connected(options, settled=True) as pump:
        concentration, drug = named_or_active(pump, concentration_ng_per_ml, drug_id)
        document = {
            "mode": "flexible",
            "drug": drug,
            "concentration": CONCENTRATION.text(concentration),
            "group": groups,
        }
        seen = reviewed(pump, program_of_document(document, "flex"), file="flex")
        _write(options, pump, seen, consent)


def _groups(words: tuple[str, ...]) -> list[dict[str, object]]:
    """The groups of a command line, as a file has them."""
    groups: list[dict[str, object]] = []
    for word in words:
        time_of_day, equals, dose = word.partition("=")
        if not equals:
            groups.append({"days": word.split(",") if "," in word else word})
            continue
        if not groups:
            groups.append({"days": "every day"})
        if time_of_day in groups[-1]:
            raise UsageError(
                f"flex: group {len(groups)} has {time_of_day!r} twice", advice="nothing was sent"
            )
        groups[-1][time_of_day] = dose
    return groups


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--check", is_flag=True, help="Check and show it, and change nothing.")
@with_consent
@with_options
def write(options: Options, *, file: Path, check: bool, consent: Consent) -> None:
    """Write the program of a TOML file: any mode, with periodic and patient boluses and a bridge.

    `pumpbench help program-schema` prints the JSON Schema of such files; `show --toml` writes one.
    """
    if not check:
        require_target(options)
    program = read_program(file)
    with connected(options, settled=not check) as pump:
        seen = reviewed(pump, program, file=str(file))
        if check:
            show(options, _checked_text(file, seen), _checked(seen))
            return
        _write(options, pump, seen, consent)


def _warnings(seen: Reviewed) -> dict[str, object]:
    return {"warnings": [each.name for each in seen.warned]}


def _checked_text(file: Path, seen: Reviewed) -> str:
    return "\n".join([*seen.lines, f"{file}: the pump would run it; nothing was changed"])


def _checked(seen: Reviewed) -> CheckedPart:
    read = seen.staged.verified
    return CheckedPart(
        checked=True,
        day_totals_nl=list(read.day_totals_nl),
        peak_rate_nl_per_day=read.peak_rate_nl_per_day,
        staged_crc=read.staged_crc,
        warnings=[each.name for each in seen.warned],
    )


def _write(options: Options, pump: Programmer, seen: Reviewed, consent: Consent) -> None:
    refuse_another_drug(seen)
    executed = written_as_confirmed(pump, seen, start=consent.start, accept=consent.accept, ask=consent.ask)
    report(options, executed, warning_rows(seen.warned), fields=_warnings(seen))
    confirm_stays_stopped(options, pump, confirmed=consent.leave_stopped)


@click.command(name="show")
@click.option("--toml", "as_toml", is_flag=True, help="As a file that `write` takes, exactly.")
@with_options
def show_program(options: Options, *, as_toml: bool) -> None:
    """The whole program that the pump has."""
    if as_toml and options.as_json:
        raise UsageError("--toml and --json are two forms of one answer", advice="choose one")
    with connected(options) as pump:
        reply, program = pump.program(), active_program(pump)
    if program is None:
        if as_toml:
            raise UsageError("the pump has no program yet", advice="write one first")
        show(options, "no program", reply._asdict())
        return
    if as_toml:
        show(options, toml_text(program).rstrip("\n"), {})
        return
    rows = [(row.name, row.new) for row in settings(None, program)]
    show(options, [*rows, ("revision", str(reply.program_rev))], reply._asdict())


PROGRAM_COMMANDS = (set_program, minimum_rate, flex, write, show_program)
