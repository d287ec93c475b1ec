"""Which reader reads a capture of another tool: as the rules say, or as it begins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hil.errors import BadConfiguration
from hil.importing.analyser_csv import read_csv
from hil.importing.foreign_pcapng import read_foreign_pcapng
from hil.importing.hex_dumps import HEXDUMP, XXD, read_hex_dump
from hil.importing.pieces import lines_of
from hil.importing.rules import FORMATS
from hil.importing.socat_log import HEADER, MESSAGE, read_socat_log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hil.importing.pieces import Note, Piece
    from hil.importing.rules import Rules
    from protocol.capture.pcapng import Damage

PCAPNG_BEGINS: Final = b"\x0a\x0d\x0d\x0a"
_READERS: Final[dict[str, Callable[[Path, Rules], Iterator[Piece | Note | Damage]]]] = {
    "xxd": lambda path, rules: read_hex_dump(path, rules, "xxd"),
    "hexdump": lambda path, rules: read_hex_dump(path, rules, "hexdump"),
    "socat": read_socat_log,
    "csv": read_csv,
    "pcapng": read_foreign_pcapng,
}
_SHAPES: Final = (("socat", HEADER), ("socat", MESSAGE), ("xxd", XXD), ("hexdump", HEXDUMP))


def read_capture(path: Path, rules: Rules) -> tuple[str, Iterator[Piece | Note | Damage]]:
    """The format of a capture, and what is in it, in its order. BadConfiguration where nobody knows what it is."""
    kind = rules.format or _format_of(path, rules)
    return kind, _READERS[kind](path, rules)


def _format_of(path: Path, rules: Rules) -> str:
    try:
        with path.open("rb") as file:
            start = file.read(len(PCAPNG_BEGINS))
    except OSError as error:
        raise BadConfiguration(
            f"{path} cannot be read ({error.strerror})", advice="name a capture"
        ) from error
    if start == PCAPNG_BEGINS:
        return "pcapng"
    if not start:
        raise BadConfiguration(f"{path} is empty", advice="name a capture")
    if rules.columns is not None:
        return "csv"
    first = next((line for line in lines_of(path) if line.text.strip()), None)
    for kind, shape in _SHAPES:
        if first is not None and shape.fullmatch(first.text.rstrip()):
            return kind
    raise BadConfiguration(
        f"nobody can tell what {path} is from its first line",
        advice=f"write format = one of {', '.join(FORMATS)} into a file for --rules",
    )
