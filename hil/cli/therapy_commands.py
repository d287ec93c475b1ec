"""The commands of `pumpbench program` that change therapy: bolus, cancel, stop, resume, time.

Each asks a human before it prepares anything; between PREPARE and COMMIT nobody is asked. What a human has said yes
to is what is sent: it names the program that was there when he was asked, and a pump that has another one refuses.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from hil.cli.connection import (
    Options,
    confirm,
    connected,
    one_of,
    outcome_sentence,
    require_target,
    show,
    with_options,
)
from hil.cli.log_lines import data_of
from hil.cli.output import say
from hil.cli.quantities import CMD_ID, MCG, MCG_PER_ML, ML, U16, Moment, Quantity, WallTime
from hil.cli.stays_stopped import LEAVE_STOPPED, confirm_stays_stopped
from hil.cli.tables import executed_rows, reply_rows, time_rows
from hil.errors import DeviceError, DeviceRefused, UsageError
from hil.procedures.doses import volume_for_dose_nl
from hil.procedures.reservoir import RefillCheck, check_refill
from hil.programmer.programmer import ACTIVE_BOLUS
from hil.programmer.verdicts import DID_NOT_HAPPEN
from hil.quantity_words import U32_MAX, duration, mcg, mcg_per_ml, ml
from protocol.identifiers import ErrorCode, OnExpiry, Outcome, StatusFlag, StopReason, TimeSetReason
from protocol.log.data import RefillData
from protocol.log.types import LogType
from protocol.messages.reading import GetDeliveryReply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hil.cli.tables import Rows
    from hil.programmer.command_ledger import Executed
    from hil.programmer.programmer import PreparedBolus, Programmer
    from protocol.log.entry import LogEntry
    from protocol.messages.bolus import BolusCommitReply
    from protocol.messages.reservoir import GetReservoirReply

S_PER_HOUR = 3_600
MAX_STOP_H = 48
AS_ASKED = frozenset({Outcome.RUNNING, Outcome.DONE})


YES = click.option("--yes", is_flag=True, help="Do not ask.")
CONCENTRATION = click.option(
    "--concentration", "concentration_ng_per_ml", type=MCG_PER_ML, help="Default: the active program's."
)
DRUG = click.option("--drug", "drug_id", type=U16, help="Drug number (default: the active program's).")


def report(
    options: Options,
    executed: Executed[Any],
    more: Rows | None = None,
    *,
    fields: Mapping[str, object] | None = None,
    error: DeviceError | None = None,
) -> None:
    """Say what a command did; before the session ends, since nothing after it may keep the answer back.

    `more` is for people and `fields` for programs. DeviceError, once it is said, where the pump did less than was
    asked. `error` is what the caller raises next.
    """
    shortfall = None if executed.outcome in AS_ASKED else _shortfall(executed)
    show(
        options,
        executed_rows(executed) + (more or []) + reply_rows(executed.answer),
        {
            "cmd_id": executed.cmd_id,
            "outcome": executed.outcome,
            "delivered_nl": executed.delivered_nl,
            "uncertain_nl": executed.uncertain_nl,
            "reply": executed.answer,
            **(fields or {}),
        },
        done=outcome_sentence(executed.opcode, executed.cmd_id, executed.outcome.name),
        advice=f"do not repeat it; `pumpbench program query {executed.cmd_id}` says what became of it",
        error=shortfall or error,
    )
    if shortfall is not None:
        raise shortfall


def _shortfall(executed: Executed[Any]) -> DeviceError:
    return DeviceError(
        f"{executed.opcode.name} {executed.cmd_id} was accepted and not completed: {executed.outcome.name}, "
        f"{ml(executed.delivered_nl)} delivered, {ml(executed.uncertain_nl)} uncertain",
        advice="read the log before you decide on another",
    )


@click.command()
@click.option("--dose", "dose_ng", type=MCG, help="Dose in mcg; or --volume.")
@click.option("--volume", "volume_nl", type=ML, help="Volume in mL; or --dose.")
@click.option("--duration", "duration_s", type=Quantity("s", low=1), required=True, help="How long it takes.")
@YES
@with_options
def bolus(
    options: Options, *, dose_ng: int | None, volume_nl: int | None, duration_s: int, yes: bool
) -> None:
    """Give one bolus on top of the program."""
    if (dose_ng is None) == (volume_nl is None):
        raise click.UsageError("name either --dose or --volume")
    require_target(options)
    with connected(options, settled=True) as pump:
        prepared, executed = bolus_as_confirmed(
            pump, duration_s, dose_ng=dose_ng, volume_nl=volume_nl, ask=partial(confirm, yes=yes)
        )
        volume = ml(prepared.announced.quantised_nl)
        report(options, executed, [("volume", volume), ("over", duration(prepared.duration_s))])


def bolus_as_confirmed(
    pump: Programmer,
    duration_s: int,
    *,
    dose_ng: int | None = None,
    volume_nl: int | None = None,
    ask: Callable[[str], None],
) -> tuple[PreparedBolus, Executed[BolusCommitReply]]:
    """Give what `ask` was told, unless it raises.

    DeviceRefused where the pump's program changed since: the same volume would be another dose.
    """
    program_rev = pump.status().program_rev  # read first: what changes after it is refused
    wanted_nl, words = _bolus_wanted(pump, dose_ng, volume_nl)
    before = pump.delivery()
    ask(f"give a bolus of {words} over {duration(duration_s)}")
    refuse_after_another_bolus(before, pump.delivery())
    prepared = pump.prepare_bolus(wanted_nl, duration_s, program_rev=program_rev)
    return prepared, pump.commit_bolus(prepared)


def refuse_after_another_bolus(before: GetDeliveryReply, now: GetDeliveryReply) -> None:
    """Raise DeviceError where something else than the basal rate was delivered while a human was asked."""
    given_nl = sum(now[1:_SOURCES]) - sum(before[1:_SOURCES])
    if given_nl:
        raise DeviceError(
            f"nothing was sent: {ml(given_nl)} were given on top of the basal rate while you were asked",
            advice="read the log before you decide on another",
        )


def delivered_nl(held: GetDeliveryReply) -> int:
    """What was delivered by all sources together since the pump was made."""
    return sum(held[:_SOURCES])


_SOURCES = GetDeliveryReply._fields.index("hour_used_nl")  # a volume for each source, the basal rate's first


def _bolus_wanted(pump: Programmer, dose_ng: int | None, volume_nl: int | None) -> tuple[int, str]:
    """Volume, and what a human is asked."""
    if volume_nl is not None:
        return volume_nl, ml(volume_nl)
    concentration = pump.program().header.concentration_ng_per_ml
    if dose_ng is None or not concentration:
        raise UsageError(
            "a dose needs a program with a concentration", advice="program the pump first, or name --volume"
        )
    wanted_nl = volume_for_dose_nl(dose_ng, concentration)
    if wanted_nl > U32_MAX:
        raise UsageError(
            f"--dose {mcg(dose_ng)} of {mcg_per_ml(concentration)} is {ml(wanted_nl)}, "
            f"and a volume can be told up to {ml(U32_MAX)}",
            advice="look at the dose, and at the drug's concentration",
        )
    return wanted_nl, f"{mcg(dose_ng)} ({ml(wanted_nl)} of {mcg_per_ml(concentration)})"


@click.command()
@click.argument("cmd_id", type=CMD_ID, required=False)
@with_options
def cancel(options: Options, cmd_id: int | None) -> None:
    """End a bolus now: the active one, or the one of command CMD_ID (1 to 4294967294). Never asks first."""
    require_target(options)
    with connected(options) as pump:
        executed = pump.cancel_bolus(ACTIVE_BOLUS if cmd_id is None else cmd_id)
        answer = executed.answer
        if answer is None:
            report(options, executed)
            return
        ended = answer.target_outcome not in DID_NOT_HAPPEN and answer.target_outcome is not Outcome.TOO_OLD
        more = [("bolus", answer.target_outcome.name), ("delivered", ml(answer.delivered_nl))]
        error = None if ended else _nothing_was_cancelled(cmd_id)
        report(options, executed, more if ended else [("bolus", "none was ended")], error=error)
        if cmd_id is not None:
            pump.ledger.hold_against_file(cmd_id, answer.target_outcome, answer.delivered_nl)
        if error is not None:
            raise error


def _nothing_was_cancelled(cmd_id: int | None) -> DeviceError:
    which = (
        "no bolus is active" if cmd_id is None else f"command {cmd_id} is no bolus of this key that it knows"
    )
    return DeviceError(
        f"nothing was cancelled: {which}",
        advice="`pumpbench program status` shows the active bolus, `query` what became of one",
    )


@click.command()
@click.option(
    "--max-hours",
    type=Quantity("h", low=1, high=MAX_STOP_H),
    default=MAX_STOP_H,
    help="When the stop expires.",
)
@click.option("--reason", type=one_of(StopReason), default="clinical", help="Why.")
@click.option(
    "--on-expiry", type=one_of(OnExpiry), default="alarm_only", help="What happens then, besides the alarm."
)
@YES
@LEAVE_STOPPED
@with_options
def stop(
    options: Options, *, max_hours: int, reason: str, on_expiry: str, yes: bool, leave_stopped: bool
) -> None:
    """Stop all delivery."""
    require_target(options)
    confirm("stop all delivery", yes=yes)
    wanted = OnExpiry[on_expiry.upper()]
    with connected(options) as pump:
        executed = pump.stop(max_hours * S_PER_HOUR, reason=StopReason[reason.upper()], on_expiry=wanted)
        report(options, executed)
        answer = executed.answer
        if answer is not None and answer.expires_t_mono_s and answer.on_expiry is not wanted:
            say(
                f"pumpbench: it has stopped, and at the end it does {answer.on_expiry}, not {wanted} as asked"
            )
        confirm_stays_stopped(options, pump, confirmed=leave_stopped)


_TOO_LITTLE = (
    "more",
    "too little was delivered: look for a stall, a blocked catheter that may open, a needle beside the reservoir",
)
_TOO_MUCH = (
    "less",
    "too much was delivered or less was filled in: look at the patient, the pump and what was entered",
)


def sentence_to_investigate(check: RefillCheck) -> str:
    """What a difference at a refill means that must be investigated before the pump runs [DOMAIN 6.8, RH-16]."""
    side, what = _TOO_LITTLE if check.delta_nl > 0 else _TOO_MUCH
    difference = f"{ml(abs(check.delta_nl))} {side} than expected came out at the refill"
    return f"INVESTIGATE before the pump runs: {difference}; {what}"


def check_of_last_refill(last: GetReservoirReply, entries: Sequence[LogEntry]) -> str:
    """What must be investigated of the last refill; "" where nothing must.

    By its difference, and by its ratio where the entries of the log tell what was filled in before it.
    """
    refills = [data_of(entry) for entry in entries if entry.type is LogType.REFILL]
    of_last = RefillData(last.last_aspirated_nl, last.last_fill_nl, last.last_expected_nl)
    whole = not any(entry.type is LogType.CORRUPT_SLOT for entry in entries)
    known = whole and len(refills) > 1 and refills[-1] == of_last and refills[-2] is not None
    filled_before_nl = refills[-2].filled_nl if known else last.last_expected_nl
    check = check_refill(filled_before_nl, last.last_expected_nl, last.last_aspirated_nl)
    return sentence_to_investigate(check) if check.investigate else ""


@click.command()
@with_options
def resume(options: Options) -> None:
    """Start the active program again."""
    require_target(options)
    with connected(options, settled=True) as pump:
        refills = pump.read_log(type_filter=1 << (LogType.REFILL >> 8)).entries
        if heard := check_of_last_refill(pump.reservoir(), refills):
            say(f"pumpbench: {heard}")
        report(options, pump.resume())


@click.command(name="time")
@click.argument("wanted", metavar="[ISO-TIME]", type=Moment(), required=False)
@click.option("--reason", type=one_of(TimeSetReason), default="drift", help="Why.")
@YES
@with_options
def time(options: Options, *, wanted: WallTime | None, reason: str, yes: bool) -> None:
    """Both clocks of the pump; or set its wall clock, as 2026-03-02T10:00:00+01:00.

    The offset is the pump's new time zone. From 2000 to 2136-02-07T06:28:15+00:00.
    """
    if wanted is None:
        with connected(options) as pump:
            seen, state = pump.time(), pump.status()
        valid = StatusFlag.WALL_VALID in state.flags
        show(options, time_rows(seen, valid=valid), {**seen._asdict(), "wall_valid": valid})
        return
    require_target(options)
    why = TimeSetReason[reason.upper()]
    with connected(options, settled=True) as pump:
        confirm(f"set the pump's clock to {wanted.text}", yes=yes)
        try:
            executed = pump.set_time(wanted.wall_s, wanted.tz_minutes, reason=why)
        except DeviceRefused as refusal:
            if refusal.error.code is not ErrorCode.CONFIRM:
                raise
            confirm(
                f"the clock moves by {_signed(refusal.error.detail)} s; set it all the same",
                yes=yes,
                otherwise="the pump's clock was not set",
            )
            executed = pump.set_time(wanted.wall_s, wanted.tz_minutes, reason=why, confirm=True)
        report(options, executed)


def _signed(value: int) -> int:
    """A 32-bit number of the wire as a signed one."""
    return value - (1 << 32 if value >> 31 else 0)


THERAPY_COMMANDS = (bolus, cancel, stop, resume, time)
