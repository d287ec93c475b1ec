"""Hex dumps of `xxd` and `hexdump -C`: each line is checked against its offset and against its own text column."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from hil.errors import BadConfiguration
from hil.importing.pieces import Line, Piece, lines_of, wrong

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hil.importing.rules import Rules

XXD: Final = re.compile(r"([0-9a-fA-F]{8,}): ((?:[0-9a-fA-F]{2,} ?)*)(?: (.*))?")
HEXDUMP: Final = re.compile(r"([0-9a-fA-F]{7,})(?:  ((?:[0-9a-fA-F]{2} {1,2})+) *\|(.*)\|)?")
EXPECTED: Final = {
    "xxd": (XXD, "00000000: 6865 6c6c  hell, as `xxd` writes it"),
    "hexdump": (HEXDUMP, "00000000  68 65 6c 6c  |hell|, as `hexdump -C` writes it"),
}
REPEATED_MAX_BYTES: Final = 1 << 26
"""What a `*` may stand for: more is no capture of a serial line but a wrong offset."""
_SAME: Final = "*"


def read_hex_dump(path: Path, rules: Rules, kind: str) -> Iterator[Piece]:
    """The bytes of a dump, all of one direction, which the rules must say. BadConfiguration names the line."""
    way = rules.direction
    if way is None:
        raise BadConfiguration(
            f"{path} is a hex dump, which says no direction",
            advice='write direction = "to-pump" or "from-pump" into a file for --rules',
        )
    for data in _rows(path, kind):
        yield Piece(way, data, rules.start_ns)


def _rows(path: Path, kind: str) -> Iterator[bytes]:
    pattern, shape = EXPECTED[kind]
    offset, last, repeats, ended = 0, b"", 0, False
    for line in lines_of(path):
        text = line.text.rstrip()
        if not text:
            continue
        if text == _SAME and last and not repeats:
            repeats = line.number
            continue
        found = pattern.fullmatch(text)
        if found is None or ended:
            raise wrong(
                path,
                line.number,
                f"is {text[:60]!r}",
                "nothing stands behind the end" if ended else f"expected is {shape}",
            )
        at = int(found[1], 16)
        if repeats:
            yield _repeated(path, repeats, last, at - offset)
            offset, repeats = at, 0
        if at != offset:
            raise wrong(
                path,
                line.number,
                f"begins at byte {at:#x}",
                f"byte {offset:#x} comes next: lines are missing, or twice there",
            )
        last = _bytes(path, line, found[2] or "", found[3])
        ended = kind == "hexdump" and not last
        offset += len(last)
        yield last
    if repeats:
        raise wrong(path, repeats, "says that lines repeat", "the line with which that ends is missing")
    if kind == "hexdump" and not ended:
        raise BadConfiguration(
            f"{path} ends without the offset of its end", advice="its last lines are missing"
        )


def _repeated(path: Path, number: int, last: bytes, count: int) -> bytes:
    if not 0 < count <= REPEATED_MAX_BYTES or count % len(last):
        raise wrong(path, number, f"stands for {count} bytes", f"whole lines of {len(last)} bytes repeat")
    return last * (count // len(last))


def _bytes(path: Path, line: Line, digits: str, shown: str | None) -> bytes:
    """The bytes of a line, whose own text column agrees with them as far as it is printable."""
    packed = digits.replace(" ", "")
    if len(packed) % 2:
        raise wrong(path, line.number, f"has {len(packed)} digits", "two make a byte")
    data = bytes.fromhex(packed)
    if shown is None:
        return data
    wanted = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in data)
    if shown.strip() != wanted.strip():
        raise wrong(
            path,
            line.number,
            f"has the bytes of {wanted!r} and the text {shown!r}",
            "one of them was changed",
        )
    return data
