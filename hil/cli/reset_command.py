"""`pumpbench hil reset`: reset a board, as its bench file says or as one says here."""

from __future__ import annotations

from contextlib import closing

import click

from hil import address as addresses
from hil.cli.bench_warnings import warn_of_other_boards
from hil.cli.output import tell
from hil.errors import BadConfiguration, UsageError
from hil.targets.reset import NO_RESET, RESET_METHODS

EXIT_CODES = """\
\b
Exit codes:
   0  it was reset, as far as this end can tell
   7  the port is gone, or the command failed
  10  nobody has said how, or the line has no such modem line
  11  somebody else has the board
  12  the output could not be printed
"""


@click.command(epilog=EXIT_CODES)
@click.option(
    "--target", metavar="ADDRESS", envvar=addresses.ENVIRONMENT_NAME, help=f"One of {addresses.FORMS}."
)
@click.option(
    "--by",
    "method",
    type=click.Choice([name for name in RESET_METHODS if name != NO_RESET]),
    help="How (default: as the bench file says).",
)
def reset(target: str | None, method: str | None) -> None:
    """Reset a board. Its pump restarts; its therapy goes on as after a power cut, and its memory stays."""
    from hil.targets import make_target  # noqa: PLC0415 - only this command needs it
    from hil.targets.board import BoardTarget  # noqa: PLC0415 - as above

    if not target:
        raise UsageError(
            "nothing was reset: no board is named",
            advice=f"name one with --target or ${addresses.ENVIRONMENT_NAME}; `pumpbench hil targets` lists them",
        )
    address = addresses.parse(target)
    warn_of_other_boards(address)
    board = make_target(address)
    if not isinstance(board, BoardTarget):
        raise BadConfiguration(
            f"nothing was reset: {target} is no board", advice="name a device path, usb:VID:PID or bench:NAME"
        )
    board.purpose = "hil reset"
    with closing(board):
        board.start()
        board.reset(method or "")
    name = method or board.reset_method
    tell(f"{target} was reset: {RESET_METHODS[name].meaning}", done="the board was reset")
