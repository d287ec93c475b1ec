"""`pumpbench import`: a capture of another tool, made a recording of ours."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hil import __version__
from hil.capture.recording_file import plain_text
from hil.cli.connection import tell_error
from hil.cli.documents import json_line
from hil.cli.new_file import check_new, new_file, unwritable
from hil.cli.output import say, tell
from hil.cli.recording_options import NEW_RECORDING
from hil.errors import BadConfiguration
from hil.importing.formats import read_capture
from hil.importing.pieces import NO_TIME_NS, Note, Piece
from hil.importing.rules import Rules, read_rules
from hil.quantity_words import counted
from protocol.capture.limits import SIZE_LIMIT_MOST_BYTES
from protocol.capture.recorder import Recorder
from protocol.capture.recording import Way

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import BinaryIO

    from protocol.capture.pcapng import Damage

NOTE = "imported"
"""Kind of the marks with what a capture has besides bytes."""


class _Count:
    """How much there was."""

    def __init__(self) -> None:
        self.bytes = dict.fromkeys(Way, 0)
        self.notes = 0
        self.damage: list[Damage] = []
        self.packets = 0


@click.command("import")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@NEW_RECORDING
@click.option(
    "--rules",
    "rules_path",
    metavar="FILE.toml",
    type=click.Path(path_type=Path),
    help="What the capture does not say by itself: columns, directions, time; see hil/importing/README.md.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what was done as a JSON document.")
def import_capture(file: Path, out: Path, rules_path: Path | None, as_json: bool) -> None:
    """Make a recording of a capture of another tool, for decode, export and all the rest.

    FILE is a hex dump (xxd, hexdump -C), a log of `socat -x`, a logic analyser's CSV, or pcapng with a serial payload.
    hil/importing/README.md has the rules. What is no byte of the line becomes a mark. Ends with 10, the number of the
    line and no file where something cannot be read, or nobody says which way it went; with 10 for pcapng that is
    damaged too, of which OUT has all that could be read.
    """
    try:
        _import(file, out, rules_path, as_json=as_json)
    except BadConfiguration as error:
        if as_json:
            tell_error(error)
        raise


def _import(file: Path, out: Path, rules_path: Path | None, *, as_json: bool) -> None:
    check_new(out)
    rules = Rules() if rules_path is None else read_rules(rules_path)
    count = _Count()
    try:
        kind, pieces = read_capture(file, rules)
        done = False
        with _opened(out) as stream:
            try:
                _record(stream, {"target": "imported", "imported": kind, "from": file.name}, pieces, count)
                done = True
            finally:
                if not done:
                    out.unlink(missing_ok=True)
    except OSError as error:
        raise BadConfiguration(
            f"{file} cannot be read ({error.strerror})", advice="name a capture"
        ) from error
    _tell(count, kind, out, as_json=as_json)
    if count.damage:
        first = count.damage[0].what
        the_first = "" if len(count.damage) == 1 else "the first of them "
        raise BadConfiguration(
            f"{file} is damaged in {counted(len(count.damage), 'place')}, {the_first}{first}",
            advice=f"what could be read is in {out}",
        )


def _opened(out: Path) -> BinaryIO:
    try:
        return new_file(out)
    except OSError as error:
        raise unwritable(out, error) from error


class _Whole:
    """The file of a recorder that raises what goes wrong with it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, data: memoryview, /) -> int:
        """All of it."""
        return self._stream.write(data)

    def close(self) -> None:
        """It is its owner's to close."""
        self._stream.flush()


def _record(
    stream: BinaryIO, told: dict[str, str], pieces: Iterable[Piece | Note | Damage], count: _Count
) -> None:
    troubles: list[str] = []
    recorder = Recorder(
        lambda _number: _Whole(stream),
        {name: plain_text(value) for name, value in told.items()},
        __version__,
        trouble=troubles.append,
        size_limit_bytes=SIZE_LIMIT_MOST_BYTES,
    )
    for piece in pieces:
        if isinstance(piece, Piece):
            count.bytes[piece.way] += len(piece.data)
            recorder.passed(piece.way, piece.data, max(NO_TIME_NS, piece.time_ns))
        elif isinstance(piece, Note):
            count.notes += 1
            recorder.mark(NOTE, plain_text(piece.text), max(NO_TIME_NS, piece.time_ns))
        else:
            count.damage.append(piece)
    recorder.close()
    count.packets = recorder.position[1]
    if troubles:
        raise BadConfiguration(f"it cannot be written: {troubles[0]}", advice="name a place with room")


def _tell(count: _Count, kind: str, out: Path, *, as_json: bool) -> None:
    to_pump, from_pump = count.bytes[Way.TO_PUMP], count.bytes[Way.FROM_PUMP]
    if as_json:
        document = {
            "recording": str(out),
            "format": kind,
            "to_pump_bytes": to_pump,
            "from_pump_bytes": from_pump,
            "packets": count.packets,
            "notes": count.notes,
        }
        tell(json_line("import", document))
        return
    say(f"{out} has {to_pump} bytes to the pump and {from_pump} from it, of a capture of the format {kind}")
    if count.notes:
        say(f"{count.notes} marks have what else was in it")
    if not to_pump + from_pump:
        say("no byte was in it")
