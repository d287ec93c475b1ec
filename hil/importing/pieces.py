"""What the readers of other tools' captures give: bytes of a direction, and notes about what is no byte of the line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from hil.errors import BadConfiguration

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from protocol.capture.recording import Way

NO_TIME_NS: Final = 0
LINE_MAX_BYTES: Final = 1 << 20
"""No line of such a capture is nearly as long: it is no text."""


class Piece(NamedTuple):
    """Bytes that passed; `time_ns` since 1970, 0 where the capture has no times."""

    way: Way
    data: bytes
    time_ns: int


class Note(NamedTuple):
    """What the capture has besides, in words: it becomes a mark, so that nothing of it is lost."""

    text: str
    time_ns: int


class Line(NamedTuple):
    """A line of a capture, without its end, and its number from 1."""

    number: int
    text: str


def lines_of(path: Path) -> Iterator[Line]:
    """The lines of a text; BadConfiguration for what is no text, naming the line."""
    with path.open("rb") as stream:
        for number in range(1, 1 << 62):
            raw = stream.readline(LINE_MAX_BYTES)
            if not raw:
                return
            try:
                yield Line(number, raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n"))
            except UnicodeDecodeError as error:
                raise wrong(
                    path, number, f"is no text: byte {raw[error.start]:#04x}", "name a text file"
                ) from error


def wrong(path: Path, number: int, what: str, advice: str) -> BadConfiguration:
    """The error of a line: what is wrong with it, and what was expected or is to be done."""
    return BadConfiguration(f"{path}, line {number} {what}", advice=advice)
