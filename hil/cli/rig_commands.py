"""`pumpbench rig`: what a bench does to an emulated pump from outside, from a shell: its time, and its syringe.

What else a rig can do stands in the description that the bench itself serves, at `/openapi.json` of its rig control.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hil.cli.output import tell
from hil.cli.quantities import HOURS_MINUTES, MCG_PER_ML, ML
from hil.errors import BadConfiguration
from hil.quantity_words import duration_of_ms, ml
from hil.rig_client import RigClient

if TYPE_CHECKING:
    from collections.abc import Callable

MS_PER_S = 1_000
READY = "PUMPBENCH_READY"
READY_LINE_MAX = 65_536  # characters: a file may have no end, as a device has none


@click.group()
def rig() -> None:
    """Turn the time of an emulated pump, and work its syringe: what stands at the bedside, not in the programmer."""


def with_rig(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the rig that the ready line names, as its first argument."""

    @click.option(
        "--ready",
        "ready_file",
        type=click.Path(path_type=Path),
        envvar=READY,
        required=True,
        help=f"File with what `pumpbench emulate --control HOST:PORT` printed (or ${READY}).",
    )
    @functools.wraps(command)
    def wrapped(*args: Any, ready_file: Path, **kwargs: Any) -> None:
        client = RigClient(*place_of(ready_file))
        try:
            command(client, *args, **kwargs)
        finally:
            client.close()

    return wrapped


def place_of(ready_file: Path) -> tuple[str, str]:
    """Address and token of the rig control in a file with a ready line; BadConfiguration where it has none."""
    try:
        with ready_file.open() as lines:
            ready = json.loads(lines.readline(READY_LINE_MAX))
        url, token = (_text_or_none(ready[name]) for name in ("control", "token"))
    except OSError as error:
        raise BadConfiguration(
            f"{ready_file} cannot be read: {error.strerror}", advice="name the file of the ready line"
        ) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadConfiguration(
            f"{ready_file} does not begin with a ready line",
            advice="write it with `pumpbench emulate --control 127.0.0.1:0 >FILE`",
        ) from error
    if url is None or token is None:
        raise BadConfiguration(
            f"the emulator of {ready_file} has no rig control", advice="start it with --control 127.0.0.1:0"
        )
    return url, token


def _text_or_none(value: object) -> str | None:
    """A member of the ready line; TypeError where it is neither text nor null."""
    if value is None or isinstance(value, str):
        return value
    raise TypeError(value)


@rig.command()
@click.argument("span_s", metavar="H:MM", type=HOURS_MINUTES)
@with_rig
def advance(client: RigClient, *, span_s: int) -> None:
    """Let so much of the patient's time pass; the pump's clock must be the bench's (`emulate --time manual`)."""
    now_ms = client.advance(span_s * MS_PER_S)
    tell(f"the bench stands at {duration_of_ms(now_ms)}", done="the time has passed")


@rig.command()
@click.argument("volume_nl", metavar="[ML]", type=ML, required=False)
@with_rig
def aspirate(client: RigClient, *, volume_nl: int | None) -> None:
    """Draw fluid out of the reservoir: so much, or all that comes."""
    drawn_nl = client.aspirate(volume_nl)
    tell(f"{ml(drawn_nl)} came out", done="the fluid was drawn")


@rig.command()
@click.argument("volume_nl", metavar="ML", type=ML)
@click.option("--concentration", "ng_per_ml", type=MCG_PER_ML, help="Of the drug. Default: what is in it.")
@with_rig
def fill(client: RigClient, *, volume_nl: int, ng_per_ml: int | None) -> None:
    """Inject fluid into the reservoir. The pump does not notice: `program refill` tells it."""
    went_in_nl = client.fill(volume_nl, ng_per_ml)
    tell(f"{ml(went_in_nl)} went in", done="the fluid is in")


@rig.command()
@with_rig
def state(client: RigClient) -> None:
    """What is so and what the pump believes, as JSON."""
    seen = client.state()
    tell(json.dumps({**seen._asdict()}, indent=2))
