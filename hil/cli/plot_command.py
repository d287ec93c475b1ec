"""`pumpbench plot`: what a rig saw of a pump, as a picture."""

from __future__ import annotations

from pathlib import Path

import click

from hil.cli.output import tell
from hil.plotting import draw
from hil.rig_recording import read_recording


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out",
    "pictures",
    metavar="FILE.png|FILE.svg",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path),
    help="Where the picture goes; again for one of the other kind.",
)
@click.option("--title", default="What was so, and what the pump believed", help="Above the picture.")
def plot(files: tuple[Path, ...], pictures: tuple[Path, ...], title: str) -> None:
    """Draw reservoir, dose at the tip, faults and alarms on one time axis, from what `pumpbench rig` printed.

    FILE has states, of `rig advance H:MM --every H:MM --json`, or events, of `rig trace --json` or `rig watch --json`.
    It needs matplotlib: pip install 'pumpbench[plot]'.
    """
    draw(read_recording(files), pictures, title)
    tell("\n".join(map(str, pictures)), done="the pictures were written")
