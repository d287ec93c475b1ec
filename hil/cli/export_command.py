"""`pumpbench export`: a table of a recording as CSV, JSON Lines or Parquet."""

from __future__ import annotations

import csv
import io
import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from hil.capture.columns import taker_for
from hil.capture.messages import read_messages
from hil.capture.soundness import Soundness
from hil.capture.tables import TABLES, rows_of
from hil.cli.new_file import check_new, new_file, unwritable
from hil.cli.output import say, tell_lines
from hil.cli.reading_progress import shown_reading
from hil.cli.recording_options import KEY
from hil.errors import BadConfiguration
from hil.key_file import read_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from hil.capture.tables import Column, Row

ROWS_AT_ONCE: Final = 65_536
"""Of Parquet."""
ROWS_A_PIECE: Final = 256
"""Of CSV."""


@click.command()
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "--table",
    "name",
    type=click.Choice(list(TABLES)),
    default="messages",
    show_default=True,
    help="Which table.",
)
@click.option(
    "--out",
    metavar="FILE.csv|.jsonl|.parquet",
    type=click.Path(path_type=Path),
    help="Where it goes, and in which form; CSV on stdout without.",
)
@KEY
def export(file: Path, name: str, out: Path | None, key_path: Path | None) -> None:
    """Write a table of a recording: its messages, the telemetry of GET_STATUS, its log or its alarms.

    hil/capture/README.md says what each column means; the last part of its name is its unit. What is absent is an empty
    cell, null in JSON. Parquet needs pyarrow: pip install 'pumpbench[parquet]'. A file that is there is not replaced.
    """
    columns = TABLES[name].columns
    write = None if out is None else _writer(out)
    keys = [] if key_path is None else read_keys(key_path)
    soundness = Soundness()
    with shown_reading(file) as seen:
        messages = read_messages(file, keys, taker_for([name]), seen=None if write is None else seen)
        rows = rows_of(TABLES[name], soundness.watching(messages))
        if write is None:
            tell_lines(piece.removesuffix("\n") for piece in _csv(columns, rows, line_end="\n"))
        else:
            write(columns, rows)
    advice = f"what could be read is in {out or 'the output'}"
    soundness.check(file, with_key=key_path is not None, advice=advice)
    for remark in soundness.remarks(file):
        say(remark)
    if out is not None:
        say(f"{out} has the table {name} of {file}")


def _writer(out: Path) -> Callable[[Sequence[Column], Iterable[Row]], None]:
    """What writes to such a file. BadConfiguration for a name that says no form, or where something is there."""
    forms = {".csv": _csv, ".jsonl": _json_lines}
    if out.suffix not in {*forms, ".parquet"}:
        raise BadConfiguration(
            f"{out} says no form by its end", advice="name FILE.csv, FILE.jsonl or FILE.parquet"
        )
    check_new(out)
    if out.suffix == ".parquet":
        return _parquet_writer(out)

    def write(columns: Sequence[Column], rows: Iterable[Row]) -> None:
        lines = forms[out.suffix](columns, rows)
        # what is wrong with the recording is said before a file is made: more than the head is read first
        first = "".join(itertools.islice(lines, 2))
        try:
            with io.TextIOWrapper(new_file(out), encoding="utf-8", newline="") as stream:
                stream.write(first)
                stream.writelines(lines)
        except OSError as error:
            raise unwritable(out, error) from error

    return write


def _csv(columns: Sequence[Column], rows: Iterable[Row], line_end: str = "\r\n") -> Iterator[str]:
    """Lines of RFC 4180, a head first, in pieces of whole lines."""
    left = iter(rows)
    some: list[Row] = [tuple(_names(columns))]
    while some:
        piece = io.StringIO()
        csv.writer(piece, lineterminator=line_end).writerows(some)
        yield piece.getvalue()
        some = list(itertools.islice(left, ROWS_A_PIECE))


def _json_lines(columns: Sequence[Column], rows: Iterable[Row]) -> Iterator[str]:
    names = _names(columns)
    for row in rows:
        yield json.dumps(dict(zip(names, row, strict=True))) + "\n"


def _names(columns: Sequence[Column]) -> list[str]:
    return [column.name for column in columns]


def _parquet_writer(out: Path) -> Callable[[Sequence[Column], Iterable[Row]], None]:
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError as error:
        raise BadConfiguration(
            "pyarrow is not installed, and Parquet needs it",
            advice="pip install 'pumpbench[parquet]', or name FILE.csv",
        ) from error

    def write(columns: Sequence[Column], rows: Iterable[Row]) -> None:
        schema = pa.schema([(each.name, pa.int64() if each.is_number else pa.string()) for each in columns])
        left = iter(rows)
        some = list(itertools.islice(left, ROWS_AT_ONCE))  # what is wrong with the recording is said before
        try:
            with new_file(out) as file, parquet.ParquetWriter(file, schema) as writer:
                while some:
                    cells = zip(*some, strict=True)
                    arrays = [pa.array(column, each.type) for column, each in zip(cells, schema, strict=True)]
                    writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
                    some = list(itertools.islice(left, ROWS_AT_ONCE))
        except OSError as error:
            raise unwritable(out, error) from error

    return write
