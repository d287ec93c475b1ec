"""CSV of a logic analyser: a byte a row, with its time and its direction, in columns that the rules name."""

from __future__ import annotations

import csv
import re
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final

from hil.errors import BadConfiguration
from hil.importing.pieces import Note, Piece, lines_of, wrong
from hil.importing.rules import BASES, UNITS_NS, how_to_say

if TYPE_CHECKING:
    import _csv
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from hil.importing.rules import Columns, Rules
    from protocol.capture.recording import Way

BYTE_MAX: Final = 0xFF
_DIGITS: Final = {10: re.compile("[0-9]{1,3}"), 16: re.compile("[0-9a-fA-F]{1,2}")}
FAR_AWAY_NS: Final = 1 << 62


def read_csv(path: Path, rules: Rules) -> Iterator[Piece | Note]:
    """The rows of a CSV with a head. A row without a byte, and what stands in columns of notes, becomes a note."""
    columns = rules.columns
    if columns is None:
        raise BadConfiguration(
            f"{path} is CSV, and nobody says what its columns are",
            advice='write rules for --rules: under [columns], byte = "...", time = "...", direction = "..."',
        )
    if columns.direction is None and rules.direction is None:
        raise BadConfiguration(
            f"nothing says which way the bytes of {path} go",
            advice='name the column in the rules, direction = "..." under [columns], or direction = "to-pump" for all',
        )
    rows = csv.reader((line.text for line in lines_of(path)), delimiter=columns.separator, strict=True)
    try:
        yield from _rows(path, rules, columns, rows)
    except csv.Error as error:
        raise wrong(
            path, rows.line_num, f"is no CSV: {error}", "check the file, and the separator in the rules"
        ) from error


def _rows(path: Path, rules: Rules, columns: Columns, rows: _csv.Reader) -> Iterator[Piece | Note]:
    head = [name.strip() for name in next(rows, [])]
    for name in (columns.byte, columns.time, columns.direction, *columns.notes):
        if name is not None and head.count(name) != 1:
            there = ", ".join(head)
            raise wrong(path, 1, f"has {head.count(name)} columns {name!r}", f"the columns are {there}")
    if len(set(head)) != len(head):
        raise wrong(path, 1, "names two columns alike", "give each its own name")
    for row in rows:
        number = rows.line_num
        if not row:
            continue
        if len(row) != len(head):
            raise wrong(path, number, f"has {len(row)} columns", f"the head has {len(head)}")
        cells = {name: cell.strip() for name, cell in zip(head, row, strict=True)}
        time_ns = rules.start_ns + _time_ns(path, number, cells, columns)
        if not cells[columns.byte]:
            said = ", ".join(f"{name} {cell}" for name, cell in cells.items() if cell)
            yield Note(f"line {number} has no byte: {said}", time_ns)
            continue
        for name in columns.notes:
            if cells[name]:
                yield Note(f"line {number}: {name} {cells[name]}", time_ns)
        yield Piece(_way(path, number, cells, rules, columns), _byte(path, number, cells, columns), time_ns)


def _time_ns(path: Path, number: int, cells: Mapping[str, str], columns: Columns) -> int:
    if columns.time is None:
        return 0
    cell = cells[columns.time]
    try:
        ns = int(Decimal(cell) * UNITS_NS[columns.unit])
    except (InvalidOperation, ValueError, OverflowError) as error:
        raise wrong(
            path, number, f"has the time {cell!r}", f"expected is a number of {columns.unit}"
        ) from error
    if abs(ns) > FAR_AWAY_NS:
        raise wrong(path, number, f"has the time {cell} {columns.unit}", "no capture is so long")
    return ns


def _way(path: Path, number: int, cells: Mapping[str, str], rules: Rules, columns: Columns) -> Way:
    if rules.direction is not None or columns.direction is None:
        assert rules.direction is not None  # noqa: S101 - read_csv looked
        return rules.direction
    word = cells[columns.direction]
    way = rules.directions.get(word)
    if way is None:
        raise wrong(
            path,
            number,
            f"has the direction {word!r}, of which nobody says which way it is",
            how_to_say([word]),
        )
    return way


def _byte(path: Path, number: int, cells: Mapping[str, str], columns: Columns) -> bytes:
    cell = cells[columns.byte]
    digits = cell[2:] if cell[:2].lower() == "0x" else cell
    base = 16 if digits is not cell else BASES[columns.base]
    shape = _DIGITS[base].fullmatch(digits)
    value = int(digits, base) if shape is not None else -1
    if not 0 <= value <= BYTE_MAX:
        raise wrong(path, number, f"has the byte {cell!r}", f"expected is 0 to 255, {columns.base}")
    return bytes([value])
