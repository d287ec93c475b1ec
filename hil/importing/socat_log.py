"""Logs of `socat -x`, also with -v: `> ` and `< ` lines with a time and a length, then the bytes.

Messages of socat (-d) become notes. Times are local. Six digits are microseconds; so are the nine of version 1.7.4,
filled up with zeros in front. Nine are nanoseconds where any of a log is a million or more.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from hil.errors import BadConfiguration
from hil.importing.pieces import Line, Note, Piece, lines_of, wrong
from hil.importing.rules import how_to_say

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hil.importing.rules import Rules
    from protocol.capture.recording import Way

HEADER: Final = re.compile(
    r"([<>]) (\d{4}/\d\d/\d\d \d\d:\d\d:\d\d)\.(\d{6}|\d{9}) +length=(\d+) from=(\d+) to=(\d+)"
)
MESSAGE: Final = re.compile(r"(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) socat\[\d+\] [DINWEF] .*")
_HEX: Final = re.compile(r"(?: [0-9a-f]{2})+")
_END: Final = "--"
_HEX_COLUMN: Final = 16 * 3
_US_PER_S: Final = 1_000_000
_NS_PER_S: Final = 1_000_000_000


class _Block(NamedTuple):
    """What a header announces."""

    number: int
    way: Way
    time_ns: int
    length: int


def read_socat_log(path: Path, rules: Rules) -> Iterator[Piece | Note]:
    """The blocks of a log; the rules say which of `>` and `<` goes to the pump. BadConfiguration names the line."""
    reader = _Log(path, rules, nine_are_ns=_has_ns(path))
    for line in lines_of(path):
        yield from reader.take(line)
    reader.end()


def _has_ns(path: Path) -> bool:
    found = (HEADER.fullmatch(line.text) for line in lines_of(path))
    return any(each is not None and len(each[3]) == 9 and int(each[3]) >= _US_PER_S for each in found)


class _Log:
    def __init__(self, path: Path, rules: Rules, *, nine_are_ns: bool) -> None:
        self._path = path
        self._rules = rules
        self._nine_are_ns = nine_are_ns
        self._block: _Block | None = None
        self._data = b""
        self._next = {">": 0, "<": 0}
        self._time_ns = 0

    def take(self, line: Line) -> Iterator[Piece | Note]:
        """One more line; gives the block that it completes."""
        header = HEADER.fullmatch(line.text)
        message = MESSAGE.fullmatch(line.text)
        if header is not None:
            self.end()
            self._begin(line, header)
        elif message is not None:
            yield Note(f"socat: {line.text}", max(self._time_ns, self._ns(line, message[1], "0")))
        elif self._block is not None and line.text.startswith(" "):
            self._data += self._bytes(line)
            if len(self._data) > self._block.length:
                raise wrong(
                    self._path,
                    line.number,
                    f"has more than the {self._block.length} bytes that line {self._block.number} announces",
                    "two programs may have written to one log",
                )
        elif line.text not in ("", _END):
            raise wrong(self._path, line.number, f"is {line.text[:60]!r}", "expected is a line of `socat -x`")
        if self._block is not None and len(self._data) == self._block.length:
            yield Piece(self._block.way, self._data, self._block.time_ns)
            self._block = None

    def end(self) -> None:
        """BadConfiguration where a block has not all of its bytes."""
        if self._block is not None:
            raise wrong(
                self._path,
                self._block.number,
                f"announces {self._block.length} bytes, of which {len(self._data)} are there",
                "the log was cut, or cannot hold them",
            )

    def _begin(self, line: Line, header: re.Match[str]) -> None:
        mark, moment, digits, length, first, last = header.groups()
        way = self._rules.way_of(mark)
        if way is None:
            raise BadConfiguration(
                f"{self._path}, line {line.number}: nobody says which way {mark!r} goes",
                advice=how_to_say("><"),
            )
        if int(last) - int(first) + 1 != int(length):
            raise wrong(
                self._path, line.number, f"has {length} bytes from {first} to {last}", "they do not agree"
            )
        if int(first) != self._next[mark]:
            missing = int(first) - self._next[mark]
            what = f"begins at byte {first}, and byte {self._next[mark]} comes next"
            raise wrong(
                self._path,
                line.number,
                what,
                f"{missing} bytes are missing" if missing > 0 else "logs were joined",
            )
        self._next[mark] = int(last) + 1
        self._time_ns = self._ns(line, moment, digits)
        self._block, self._data = _Block(line.number, way, self._time_ns, int(length)), b""

    def _ns(self, line: Line, moment: str, digits: str) -> int:
        try:
            local = datetime.strptime(moment, "%Y/%m/%d %H:%M:%S").replace(tzinfo=UTC)
        except ValueError as error:
            raise wrong(self._path, line.number, f"has the time {moment}", "there is no such time") from error
        since = local - timedelta(minutes=self._rules.utc_offset_minutes) - datetime(1970, 1, 1, tzinfo=UTC)
        ns = int(digits) * (1 if len(digits) == 9 and self._nine_are_ns else 1_000)
        return (since.days * 86_400 + since.seconds) * _NS_PER_S + ns

    def _bytes(self, line: Line) -> bytes:
        """The bytes of a line: all of it, or with -v its first 16 columns, behind which stands the text."""
        text = line.text
        with_text = text[_HEX_COLUMN : _HEX_COLUMN + 2] == "  "
        digits = (text[:_HEX_COLUMN] if with_text else text).rstrip()
        if _HEX.fullmatch(digits) is None:
            raise wrong(
                self._path,
                line.number,
                f"is {text[:60]!r}",
                "expected are bytes in hex, as `socat -x` writes",
            )
        return bytes.fromhex(digits)
