"""`pumpbench hil adopt`: a golden session of a recording, or the rules that two recordings propose."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hil.cli.output import say, tell, tell_lines
from hil.cli.recording_options import KEY
from hil.errors import BadConfiguration, UsageError

if TYPE_CHECKING:
    from protocol.link.development_keys import DeviceKey

DEFAULT_DIRECTORY = Path("sessions")


@click.command()
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "--learn",
    "other",
    metavar="OTHER",
    type=click.Path(path_type=Path),
    help="Propose rules from this second recording of the same thing, and write nothing.",
)
@click.option(
    "--into",
    "directory",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help=f"Where the session goes.  [default: {DEFAULT_DIRECTORY}]",
)
@click.option("--name", metavar="NAME", help="Name of the session.  [default: that of FILE]")
@click.option(
    "--rules",
    "rules_path",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Rules of your own, in TOML.",
)
@KEY
def adopt(
    file: Path,
    other: Path | None,
    directory: Path | None,
    name: str | None,
    rules_path: Path | None,
    key_path: Path | None,
) -> None:
    """Make a golden session of a recording: a test that plays its requests again and compares the answers.

    It is NAME.session.toml with the recording, its rules and where it comes from; pytest collects it. With --learn
    rules are printed instead, as TOML: they are taken once each has a reason.
    """
    from hil.key_file import read_keys  # noqa: PLC0415 - what reads messages is not for `hil run`, which this stands beside

    keys = [] if key_path is None else read_keys(key_path)
    if other is None:
        _adopt(file, DEFAULT_DIRECTORY if directory is None else directory, name, rules_path, keys)
    elif directory is not None or name is not None:
        raise UsageError(
            "--learn proposes rules and makes no session", advice="adopt with --rules afterwards"
        )
    else:
        _learn(file, other, rules_path, keys)


def _adopt(
    file: Path, directory: Path, name: str | None, rules_path: Path | None, keys: list[DeviceKey]
) -> None:
    from hil import __version__  # noqa: PLC0415 - it reads what is installed
    from hil.comparison import golden  # noqa: PLC0415 - as above

    session = golden.adopt(
        file,
        directory,
        name=name,
        rules_path=rules_path,
        keys=keys,
        version=__version__,
        now_s=int(time.time()),
    )
    tell(str(session), done=f"the session {session} is made")


def _learn(file: Path, other: Path, rules_path: Path | None, keys: list[DeviceKey]) -> None:
    from hil.comparison.learning import proposals, proposed_text  # noqa: PLC0415 - as above
    from hil.comparison.rules import Rules  # noqa: PLC0415
    from hil.comparison.rules_file import read_rules  # noqa: PLC0415
    from hil.comparison.side import Side  # noqa: PLC0415

    sides = [Side(path, keys) for path in (file, other)]
    said = [list(side) for side in sides]
    for side in sides:
        if side.damage or side.sealed or not side.count:
            why = (
                side.damage[0]
                if side.damage
                else "frames are sealed"
                if side.sealed
                else "it has no messages"
            )
            raise BadConfiguration(f"nothing is learnt from {side.path}: {why}")
    rules = Rules() if rules_path is None else read_rules(rules_path)
    found = proposals(said[0], said[1], rules)
    tell_lines(proposed_text(found, (file.name, other.name)))
    if not found:
        say("nothing differs: no rule is needed")
