"""`pumpbench rig faults`, `inject` and `clear`: what can go wrong with an emulated pump, caused from a shell."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

import click

from hil.cli.rig_connection import with_rig
from hil.cli.rig_fault_words import cleared_words, fault_lines, fault_rows, standing_words
from hil.cli.rig_reading import COUNT, SPAN, StartWords, values_of
from hil.cli.tables import table
from hil.errors import UsageError
from hil.quantity_reading import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hil.cli.rig_connection import Bench
    from hil.rig import RigFault


def with_start(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say when a fault starts."""
    for option in reversed(
        (
            click.option("--after", type=SPAN, help="Starts so much later."),
            click.option("--at-stroke", type=COUNT, help="Starts behind the n-th stroke from now."),
            click.option("--at-write", type=COUNT, help="Starts behind the n-th write to the memory."),
            click.option("--at-frame", type=COUNT, help="Starts as the n-th frame comes, before it is read."),
            click.option("--at-event", metavar="NAME", help="Starts at an event, as of `run-until event`."),
            click.option("--at-alarm", metavar="NAME", help="Starts as an alarm is raised."),
            click.option("--when", metavar="'truth FIELD OP VALUE'", help="Starts when that is so."),
            click.option("--count", type=COUNT, help="The n-th such event or alarm.", show_default="1"),
            click.option("--cleared", is_flag=True, help="At the alarm's end instead of its beginning."),
        )
    ):
        command = option(command)
    return command


@click.command()
@click.argument("name", metavar="FAULT")
@click.argument("words", metavar="[NAME=VALUE]...", nargs=-1)
@with_start
@click.option("--for", "for_ms", type=SPAN, help="Lasts so long each time. Default: until it is cleared.")
@click.option("--every", "every_ms", type=SPAN, help="Starts again so long after each start.")
@click.option("--times", type=COUNT, default=1, help="Starts so often in all.")
@with_rig
def inject(
    bench: Bench,
    *,
    name: str,
    words: tuple[str, ...],
    for_ms: int | None,
    every_ms: int | None,
    times: int,
    **start: Any,
) -> None:
    """Cause a fault, now or when something has come; it lasts until it is cleared, unless --for says how long.

    \b
    inject motor-stall --for 2:00
    inject mri field_duration=0:30 restart_delay=24:00 --after 12:00
    inject occlusion compliance_nl=100000 --at-event RefilledByHand
    inject accuracy accuracy_ppm=1145000 --when 'truth strokes_turned >= 1000'
    inject motor-stall --for 0:30 --every 24:00 --times 3

    `faults FAULT` has the numbers that a fault takes, with their units and ranges. What was ordered of the same fault
    before is called off.
    """  # noqa: D301 - the mark of click for lines as they stand
    starts = StartWords(**start).start()
    values = values_of(_named(bench.rig.faults(), name), words)
    bench.rig.inject(name, starts, for_ms=for_ms, every_ms=every_ms, times=times, **values)
    seen = _named(bench.rig.faults(), name)
    bench.show(f"{name} {standing_words(seen)}", {"fault": seen}, done="the fault was ordered")


@click.command()
@click.argument("name", metavar="FAULT")
@with_rig
def clear(bench: Bench, *, name: str) -> None:
    """End a fault, and what was ordered of it; nothing where there is neither."""
    before = _named(bench.rig.faults(), name)
    bench.rig.clear(name)
    seen = _named(bench.rig.faults(), name)
    bench.show(f"{name} {cleared_words(before, seen)}", {"fault": seen}, done="the fault was cleared")


@click.command()
@click.argument("name", metavar="[FAULT]", required=False)
@with_rig
def faults(bench: Bench, *, name: str | None) -> None:
    """List what can go wrong with the pump, how each fault stands and what is to come; or tell all of one.

    EFFECTS is how often it took effect, also before it was cleared: a fault that never did has shown nothing.
    """
    every = bench.rig.faults()
    seen = every if name is None else (_named(every, name),)
    text = "\n".join(fault_lines(seen)) if name is None else table(fault_rows(seen[0]))
    bench.show(text, {"faults": seen})


def _named(faults_: Sequence[RigFault], name: str) -> RigFault:
    """The fault of a name; UsageError with those of a like name, or with all that there are."""
    by_name = {each.name: each for each in faults_}
    if name not in by_name:
        like = difflib.get_close_matches(name.lower(), by_name)
        raise UsageError(
            f"there is no fault {shown(name)}; there {'is' if len(like) == 1 else 'are'} {', '.join(like or by_name)}",
            advice="`pumpbench rig faults` lists all" if like else "",
        )
    return by_name[name]
