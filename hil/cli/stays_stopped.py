"""The second question of a command that leaves the pump stopped: nobody stops a therapy by forgetting to start it.

A stop that nobody meant to last ends in withdrawal [DOMAIN RH-18]. A command of a program stops nothing by itself, and
STOP must never be held up, so that the question comes after what was asked for is done and told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hil.cli.connection import answer_to, somebody_is_there
from hil.errors import LeftStopped, PumpbenchError
from protocol.identifiers import InfusionMode, State

if TYPE_CHECKING:
    from hil.cli.connection import Options
    from hil.programmer.programmer import Programmer

LEAVE_STOPPED = click.option(
    "--leave-stopped",
    is_flag=True,
    help="Confirm that the pump stays stopped, in scripts; --yes alone does not.",
)
"""The second yes, of each command that decides whether the pump runs."""

_ADVICE = "`pumpbench program resume` starts it; --leave-stopped confirms, in scripts, that it stays so"


def confirm_stays_stopped(options: Options, pump: Programmer, *, confirmed: bool) -> None:
    """Ask whether the pump is to stay stopped, where it is, and has a program that it could run.

    LeftStopped without a yes, and where nobody could find out. The command's own document is on stdout by then, so
    that a program reads one: the exit code and stderr alone tell it.
    """
    if confirmed:
        return
    try:
        status = pump.status()
    except (PumpbenchError, KeyboardInterrupt) as error:
        left = LeftStopped("it was done, and whether the pump runs now could not be asked", advice=_ADVICE)
        options.told.append(left)
        raise left from error
    if status.state is not State.STOP or status.mode is InfusionMode.NONE:
        return
    unconfirmed = unless_left_so("it was done")
    if unconfirmed is not None:
        options.told.append(unconfirmed)
        raise unconfirmed


def unless_left_so(done: str) -> LeftStopped | None:
    """Ask whether a pump is to stay stopped; None after a yes. `done` says what was done before."""
    question = "the pump is stopped, and its program does not run: leave it so?"
    if somebody_is_there() and answer_to(lambda: click.confirm(question, err=True)):
        return None
    return LeftStopped(
        f"{done}; the pump is stopped, its program does not run, and nobody has confirmed that",
        advice=_ADVICE,
    )
