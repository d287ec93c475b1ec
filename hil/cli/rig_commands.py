"""`pumpbench rig`: what a bench does to an emulated pump from outside, from a shell, and what it sees of it.

The commands have the names of the rig's methods in Python, and the same things happen. What else a rig can do stands in
the description that the bench itself serves, at `/openapi.json` of its rig control.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from hil.cli.connection import TellsUsageErrors
from hil.cli.help_pages import ListsWholeSentences
from hil.cli.output import tell
from hil.cli.quantities import HOURS_MINUTES, MCG_PER_ML, Quantity
from hil.cli.rig_connection import with_rig
from hil.cli.rig_fault_commands import clear, faults, inject
from hil.cli.rig_reading import COUNT, COUNT_MAX, SPAN, said_of, value_text
from hil.cli.rig_snapshot_commands import diff, fork, restore, snapshot
from hil.cli.rig_words import (
    chosen,
    clock_words,
    event_line,
    fields_rows,
    profile_rows,
    sample_line,
    state_lines,
)
from hil.cli.tables import table
from hil.errors import DeviceError, UsageError
from hil.quantity_words import PLACES_OF_ML, duration_of_ms, ml

if TYPE_CHECKING:
    from hil.cli.rig_connection import Bench

MS_PER_S = 1_000
SYRINGE_MAX_NL = 100_000_000  # what a bench takes at once
BYTES_MAX = 1_000_000
SPEED_MAX = 1_000_000
LEASE_MAX_S = 86_400
WHO_MAX = 80
ML = Quantity("mL", places=PLACES_OF_ML, high=SYRINGE_MAX_NL)
LONGEST_S = 744 * 3_600  # what H:MM takes: 31 days


@click.group(cls=TellsUsageErrors)
def rig() -> None:
    """Turn the time of an emulated pump, cut its power, work its syringe, and see what is so beside what it believes.

    What stands at the bedside or on the bench, and not in the programmer. `rig faults` lists what can go wrong.
    """


for _command in (faults, inject, clear, snapshot, restore, fork, diff):
    rig.add_command(_command)


# --- what is so ----------------------------------------------------------------------------------------------------


@rig.command()
@with_rig
def state(bench: Bench) -> None:
    """What is so and what the pump believes, side by side."""
    seen = bench.rig.state()
    bench.show("\n".join(state_lines(seen)), seen._asdict())


@rig.command()
@with_rig
def truth(bench: Bench) -> None:
    """What is physically so, whatever the pump believes."""
    seen = bench.rig.state()
    bench.show(table(fields_rows(seen.truth)), {"now_ms": seen.now_ms, "truth": seen.truth})


@rig.command()
@with_rig
def profile(bench: Bench) -> None:
    """What this pump was made from, and what the clinic has changed since. No keys."""
    seen = bench.rig.profile()
    bench.show(table(profile_rows(seen)), seen._asdict())


@rig.command()
@with_rig
def tones(bench: Bench) -> None:
    """The last tones that the pump was heard to play."""
    heard = bench.rig.tones()
    lines = [
        f"{clock_words(tone.at_ms)}  {'critical, two pitches' if tone.critical else 'one pitch'}, "
        f"{tone.duration_ms} ms"
        for tone in heard
    ]
    bench.show("\n".join(lines) or "no tone", {"tones": [tone._asdict() for tone in heard]})


# --- time ----------------------------------------------------------------------------------------------------------


@rig.command()
@click.argument("pace", metavar="[real|manual|xN]", required=False)
@with_rig
def clock(bench: Bench, *, pace: str | None) -> None:
    """Show how time runs, or let it run from here on as the host's, N times as fast, or by hand."""
    if pace is None:
        seen = bench.rig.clock()
    elif pace in {"real", "manual"}:
        seen = bench.rig.set_mode(pace)
    else:
        found = re.fullmatch("x?0*([1-9][0-9]{0,6})", pace)
        if found is None or int(found[1]) > SPEED_MAX:
            raise UsageError(
                f"time {pace[:40]!r} is none", advice=f"say real, manual, or x1 to x{SPEED_MAX} for its speed"
            )
        seen = bench.rig.set_speed(int(found[1]))
    mode = f"x{seen.speed}" if seen.mode == "scaled" else seen.mode
    bench.show(
        f"time runs {mode}; the bench stands at {clock_words(seen.now_ms)}"
        if seen.speed
        else f"time is turned by hand; the bench stands at {clock_words(seen.now_ms)}",
        seen._asdict(),
        done="the clock was set" if pace else "",
    )


@rig.command()
@click.argument("span_ms", metavar="H:MM[:SS]", type=SPAN)
@click.option("--every", "every_ms", type=SPAN, help="Show the state too, before, and after each such step.")
@with_rig
def advance(bench: Bench, *, span_ms: int, every_ms: int | None) -> None:
    """Let so much of the patient's time pass; the pump's clock must be the bench's (`emulate --time manual`).

    With --every and --json one document a line, as `pumpbench plot` reads them.
    """
    if every_ms is not None:
        _advance_by_steps(bench, span_ms, every_ms)
        return
    now_ms = bench.rig.advance(span_ms)
    shown = f"the bench stands at {duration_of_ms(now_ms)}"
    bench.show(shown, {"now_ms": now_ms}, done="the time has passed")


def _advance_by_steps(bench: Bench, left_ms: int, every_ms: int) -> None:
    """Let time pass, and tell the state at its beginning and after each step, the last of which may be shorter."""
    step_ms = 0
    while True:
        seen = bench.rig.state()
        done = f"time has passed until {clock_words(seen.now_ms)}" if step_ms else ""
        on = [fault.name for fault in bench.rig.faults() if fault.on]
        if bench.as_json:
            bench.show_document(
                {
                    "now_ms": seen.now_ms,
                    "powered": seen.powered,
                    "truth": seen.truth,
                    "belief": seen.belief,
                    "faults_on": on,
                },
                done=done,
            )
        else:
            tell(sample_line(seen, on), done=done, last=False)
        left_ms -= step_ms
        if not left_ms:
            return
        step_ms = min(every_ms, left_ms)
        bench.rig.advance(step_ms)


@rig.command(name="run-until")
@click.argument("what", type=click.Choice(["event", "alarm", "truth", "belief"]))
@click.argument("words", nargs=-1)
@click.option("--count", type=COUNT, default=1, help="The n-th event or alarm.")
@click.option("--cleared", is_flag=True, help="The alarm's end instead of its beginning.")
@click.option(
    "--within", "limit_s", metavar="H:MM", type=HOURS_MINUTES, default=LONGEST_S, help="At most so long.",
    show_default="744:00",
)  # fmt: skip
@with_rig
def run_until(
    bench: Bench, *, what: str, words: tuple[str, ...], count: int, cleared: bool, limit_s: int
) -> None:
    """Let time pass until something happens, under manual time.

    \b
    run-until event [NAME]     the next event, or one of a kind (PowerLost) or of the log (BOLUS_END)
    run-until alarm [NAME]     an alarm (EMPTY) is raised, or with --cleared ends
    run-until truth 'FIELD OPERATOR VALUE'     as 'emitted_nl_ppm >= 1000000000'
    run-until belief 'FIELD OPERATOR VALUE'    as 'state == STOP'

    Operators are < <= == != >= >, which a shell wants quoted; values whole numbers, true, false, none, or a name.
    `state --json` has the fields. It ends with 8 where that has not happened.
    """  # noqa: D301 - the mark of click for lines as they stand
    said = said_of(what, " ".join(words).split(), f"run-until {what} 'FIELD >= VALUE'")
    if count != 1:
        said["count"] = count
    if cleared:
        said["cleared"] = True
    ran = bench.rig.run_until(what, limit_s * MS_PER_S, **said)
    document = {**ran._asdict(), "events": [event._asdict() for event in ran.events]}
    if not ran.reached:
        raise bench.fail(
            DeviceError(
                f"that has not happened in {duration_of_ms(limit_s * MS_PER_S)}; the bench stands at "
                f"{clock_words(ran.now_ms)}",
                advice="wait longer with --within, or look at `pumpbench rig state`",
            ),
            document,
        )
    lines = [event_line(event) for event in ran.events]
    if what in {"truth", "belief"}:
        lines = [f"{said['field']} of {what} is {value_text(ran.value)}"]
    bench.show(
        "\n".join([*lines, f"the bench stands at {clock_words(ran.now_ms)}"]),
        document,
        done="the time has passed",
    )


# --- what happened -------------------------------------------------------------------------------------------------

KINDS = click.option(
    "--kind", "kinds", metavar="KIND", multiple=True, help="Only events of this kind; again for more."
)
ALL = click.option("--all", "noisy", is_flag=True, help="Also each frame and each write to the memory.")


@rig.command()
@with_rig
def mark(bench: Bench) -> None:
    """A number for `trace` and `watch`: the place that this moment has in what happened."""
    seen = bench.rig.mark()
    bench.show(str(seen), {"mark": seen})


@rig.command()
@click.argument("since", metavar="[MARK]", type=Quantity(high=COUNT_MAX), default=0)
@KINDS
@ALL
@with_rig
def trace(bench: Bench, *, since: int, kinds: tuple[str, ...], noisy: bool) -> None:
    """What has happened to the pump since a mark, or since it was started, as far as the bench has kept it."""
    seen = bench.rig.trace(since)
    events = list(chosen(seen.events, kinds, noisy=noisy))
    lines = [event_line(event) for event in events] or ["no such event"]
    if seen.lost:
        lines.insert(0, f"... {seen.lost} earlier ones are not kept any more")
    document = {"mark": seen.mark, "lost": seen.lost, "events": [event._asdict() for event in events]}
    bench.show("\n".join([*lines, f"mark {seen.mark}"]), document)


@rig.command()
@click.argument("since", metavar="[MARK]", type=Quantity(high=COUNT_MAX), required=False)
@click.option("--count", type=COUNT, help="End after so many.")
@KINDS
@ALL
@with_rig
def watch(bench: Bench, *, since: int | None, count: int | None, kinds: tuple[str, ...], noisy: bool) -> None:
    """Show what happens as it happens, from now on or from a mark, until Ctrl-C or the end of the bench.

    With --json one document a line.
    """
    try:
        with bench.rig.events(since) as events:
            for number, event in enumerate(chosen(events, kinds, noisy=noisy), 1):
                bench.show_line(event)
                if number == count:
                    return
    except KeyboardInterrupt:
        return


# --- power, syringe, lease -------------------------------------------------------------------------------------------


@rig.command()
@click.argument("volume_nl", metavar="[ML]", type=ML, required=False)
@with_rig
def aspirate(bench: Bench, *, volume_nl: int | None) -> None:
    """Draw fluid out of the reservoir: so much, or all that comes."""
    drawn_nl = bench.rig.aspirate(volume_nl)
    bench.show(f"{ml(drawn_nl)} came out", {"volume_nl": drawn_nl}, done="the fluid was drawn")


@rig.command()
@click.argument("volume_nl", metavar="ML", type=ML)
@click.option("--concentration", "ng_per_ml", type=MCG_PER_ML, help="Of the drug. Default: what is in it.")
@with_rig
def fill(bench: Bench, *, volume_nl: int, ng_per_ml: int | None) -> None:
    """Inject fluid into the reservoir. The pump does not notice: `program refill` tells it."""
    went_in_nl = bench.rig.fill(volume_nl, ng_per_ml)
    shown = f"{ml(went_in_nl)} went in"
    if ng_per_ml is None and not bench.as_json and not bench.rig.state().truth["reservoir_ng_per_ml"]:
        shown += ", without drug: there was none in the reservoir, and no --concentration was named"
    bench.show(shown, {"volume_nl": went_in_nl}, done="the fluid is in")


@rig.group(cls=ListsWholeSentences)
def power() -> None:
    """Cut the pump's power, and give it back."""


@power.command()
@click.option("--after-writes", type=COUNT, help="Not now: in the n-th write to the memory from now.")
@click.option(
    "--torn", "torn_after_bytes", type=Quantity(high=BYTES_MAX), help="Bytes of that write that land."
)
@with_rig
def cut(bench: Bench, *, after_writes: int | None, torn_after_bytes: int | None) -> None:
    """Pull the plug, now or in a write to the memory; it stays out until `power restore`."""
    if torn_after_bytes is not None and after_writes is None:
        raise UsageError("--torn says how a write is torn", advice="say which one with --after-writes")
    bench.rig.power_cut(after_writes, torn_after_bytes)
    shown = "the power is off" if after_writes is None else f"the power goes in write {after_writes} from now"
    document = {"powered": after_writes is not None, "armed": after_writes is not None}
    bench.show(shown, document, done="the power was cut" if after_writes is None else "the cut is armed")


@power.command(name="restore")
@click.option("--off", "off_s", metavar="H:MM", type=HOURS_MINUTES, default=0, help="After so long without.")
@with_rig
def restore_power(bench: Bench, *, off_s: int) -> None:
    """Put the plug back; a cut that is armed and has not fired is disarmed."""
    was_off = bench.rig.power_restore(off_s * MS_PER_S)
    shown = "the power is back" if was_off else "the power was on; a cut that was armed is disarmed"
    document = {"powered": True, "armed": False, "was_off": was_off}
    bench.show(shown, document, done="the power is on")


@rig.group(cls=ListsWholeSentences)
def lease() -> None:
    """Have the bench to oneself: what another then wants to change is refused, with who has it."""


@lease.command(name="show")
@with_rig
def show_lease(bench: Bench) -> None:
    """Who has the bench to itself, and for how long."""
    seen = bench.rig.lease()
    bench.show(
        "nobody has the bench to itself"
        if seen.who is None or seen.left_ms is None
        else f"{seen.who} has the bench to itself for another {duration_of_ms(seen.left_ms)}",
        seen._asdict(),
    )


@lease.command()
@click.argument("who")
@click.option(
    "--seconds", type=Quantity("s", low=1, high=LEASE_MAX_S), default=600, help="By the host's clock."
)
@with_rig
def take(bench: Bench, *, who: str, seconds: int) -> None:
    """Take a lease in the name WHO, or renew the one of --lease, and print its id.

    The others' commands need `--lease ID` until it ends. A lease that runs out clears the faults injected under it.
    """
    if not (who.strip() and who.isascii() and who.isprintable() and len(who) <= WHO_MAX):
        raise UsageError(
            f"{who[:40]!r} is no name for a lease",
            advice=f"say who you are in 1 to {WHO_MAX} printable ASCII characters: others are told",
        )
    lease_id = bench.rig.take_lease(who, seconds)
    seen = bench.rig.lease()
    bench.show(lease_id, {**seen._asdict(), "lease": lease_id}, done=f"the lease {lease_id} was taken")


@lease.command()
@with_rig
def release(bench: Bench) -> None:
    """Let go of the bench; faults stay as they are."""
    bench.rig.release_lease()
    bench.show("everybody may use the bench", {"who": None, "left_ms": None}, done="the lease was released")
