"""The options that several commands on recordings have, each of them once."""

from __future__ import annotations

from pathlib import Path

import click

KEY = click.option(
    "--key",
    "key_path",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Key file of the device, for a recording that holds no keys.",
)
NEW_RECORDING = click.option(
    "--out",
    metavar="FILE.pcapng",
    type=click.Path(path_type=Path),
    required=True,
    help="Where it goes; a file that is there is not replaced.",
)
