"""The history's file: SQLite, for its owner's eyes alone, a transaction a run.

Its journal is rolled back by whoever opens it next after a `kill -9`; writers wait for each other. No write-ahead log,
which would be two files more and cannot be on a network's disk.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from hil.board_history.kept import Kept, KeptLatency, KeptMeasurement, KeptRun, KeptTest
from hil.errors import BadConfiguration
from hil.latency import Quantiles
from hil.own_paths import data_directory

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

NAME: Final = "history.sqlite3"
VERSION: Final = 1
"""Of the tables; a file of a later one is not touched."""
APPLICATION_ID: Final = 0x504D5048
"""By which the file is known as ours: "PMPH"."""
ONLY_MINE: Final = 0o600
WAIT_S: Final = 10.0
"""For another writer, who needs some milliseconds."""
RUN_COLUMNS: Final = tuple(name for name in KeptRun._fields if name != "number")
TABLES: Final = (
    f"""CREATE TABLE runs (number INTEGER PRIMARY KEY AUTOINCREMENT, {", ".join(RUN_COLUMNS)})""",
    "CREATE INDEX runs_of_board ON runs (board, number)",
    """CREATE TABLE tests (run INTEGER NOT NULL REFERENCES runs (number) ON DELETE CASCADE,
        name TEXT NOT NULL, outcome TEXT NOT NULL, duration_us INTEGER NOT NULL, reason TEXT, accused TEXT)""",
    "CREATE INDEX tests_of_run ON tests (run)",
    """CREATE TABLE latencies (run INTEGER NOT NULL REFERENCES runs (number) ON DELETE CASCADE,
        test TEXT NOT NULL, request TEXT NOT NULL,
        answers INTEGER, p10_us INTEGER, p50_us INTEGER, p90_us INTEGER, max_us INTEGER)""",
    "CREATE INDEX latencies_of_run ON latencies (run)",
    """CREATE TABLE measurements (run INTEGER NOT NULL REFERENCES runs (number) ON DELETE CASCADE,
        test TEXT NOT NULL, name TEXT NOT NULL, unit TEXT, value REAL, verdict TEXT, series TEXT)""",
    "CREATE INDEX measurements_of_run ON measurements (run)",
)
Row = TypeVar("Row")


class BoardRow(NamedTuple):
    """A board of which runs are kept, and the newest of them."""

    board: str
    runs: int
    newest: KeptRun


def default_path() -> Path:
    """Where the history is of this person. BadConfiguration where there is no home directory."""
    return data_directory() / NAME


class HistoryFile:
    """An open history. sqlite3.Error where the file cannot be read or written any more."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def add(self, kept: Kept) -> int:
        """Keep a run; its number."""
        run = [getattr(kept.run, name) for name in RUN_COLUMNS]
        with _transaction(self._connection):
            number = self._connection.execute(
                f"INSERT INTO runs ({', '.join(RUN_COLUMNS)}) VALUES ({_places(run)})",  # noqa: S608 - our names
                run,
            ).lastrowid
            assert number is not None  # noqa: S101 - a row was inserted
            for table, rows in (
                ("tests", kept.tests),
                ("latencies", [(each.test, each.request, *each.quantiles) for each in kept.latencies]),
                ("measurements", kept.measurements),
            ):
                if rows:
                    places = _places((number, *rows[0]))
                    self._connection.executemany(
                        f"INSERT INTO {table} VALUES ({places})",  # noqa: S608 - our names
                        ((number, *row) for row in rows),
                    )
        return number

    def boards(self) -> list[BoardRow]:
        """The boards of which runs are kept, the one that ran last at the end."""
        rows = self._connection.execute(
            "SELECT board, COUNT(*), MAX(number) FROM runs GROUP BY board ORDER BY MAX(number)"
        ).fetchall()
        return [BoardRow(board, count, self._run(newest)) for board, count, newest in rows]

    def runs(self, board: str, last: int) -> list[KeptRun]:
        """The last runs of a board, the newest at the end."""
        rows = self._connection.execute(
            f"SELECT {', '.join(RUN_COLUMNS)}, number FROM runs WHERE board = ? ORDER BY number DESC LIMIT ?",  # noqa: S608
            (board, last),
        ).fetchall()
        return [_run_of(row) for row in reversed(rows)]

    def whole(self, run: KeptRun) -> Kept:
        """All that is kept of a run."""

        def of(columns: str, table: str) -> list[tuple[object, ...]]:
            select = f"SELECT {columns} FROM {table} WHERE run = ? ORDER BY rowid"  # noqa: S608 - our names
            return self._connection.execute(select, (run.number,)).fetchall()

        latencies = of("test, request, answers, p10_us, p50_us, p90_us, max_us", "latencies")
        return Kept(
            run,
            tuple(KeptTest(*row) for row in of(", ".join(KeptTest._fields), "tests")),  # type: ignore[arg-type]
            tuple(KeptLatency(row[0], row[1], Quantiles(*row[2:])) for row in latencies),  # type: ignore[arg-type]
            tuple(KeptMeasurement(*row) for row in of(", ".join(KeptMeasurement._fields), "measurements")),  # type: ignore[arg-type]
        )

    def forget(self, board: str) -> int:
        """Remove all runs of a board, and what they were from the file; how many there were."""
        with _transaction(self._connection):
            count = self._connection.execute("DELETE FROM runs WHERE board = ?", (board,)).rowcount
        if count:
            self._connection.execute("VACUUM")
        return count

    def _run(self, number: int) -> KeptRun:
        row = self._connection.execute(
            f"SELECT {', '.join(RUN_COLUMNS)}, number FROM runs WHERE number = ?",  # noqa: S608 - our names
            (number,),
        ).fetchone()
        return _run_of(row)


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """A transaction that no other writer is within; all of it, or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a full disk may have rolled it back already
            connection.execute("ROLLBACK")
        raise


@contextmanager
def history_at(path: Path, *, writing: bool) -> Iterator[HistoryFile]:
    """The history in a file; for writing it is made where it is not there.

    BadConfiguration where it cannot be opened, is something else, damaged, or of a later version.
    """
    try:
        if writing:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, ONLY_MINE))
        # who reads rolls back what a killed writer has left, where that may be done
        mode = "rw" if writing or os.access(path, os.W_OK) else "ro"
        place = f"{path.absolute().as_uri()}?mode={mode}"
        with closing(sqlite3.connect(place, uri=True, timeout=WAIT_S, isolation_level=None)) as connection:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA secure_delete = ON")
            _check(path, connection, writing=writing)
            yield HistoryFile(connection)
    except (sqlite3.Error, OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise BadConfiguration(
            f"the history {path} cannot be {'written' if writing else 'read'} ({why})",
            advice="make room or mend its rights, or move it away and a new one is begun",
        ) from error


def _check(path: Path, connection: sqlite3.Connection, *, writing: bool) -> None:
    """BadConfiguration where the file is not ours, or of a later version; the tables of a new one are made."""
    version = _pragma(connection, "user_version")
    if version == 0 and writing:
        with _transaction(connection):
            version = _pragma(connection, "user_version")  # another writer may have been here first
            if version == 0 and not connection.execute("SELECT name FROM sqlite_schema").fetchone():
                for table in TABLES:
                    connection.execute(table)
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {VERSION}")
                version = VERSION
    if version == 0 or _pragma(connection, "application_id") != APPLICATION_ID:
        raise BadConfiguration(
            f"{path} is no history of pumpbench", advice="move it away, and a new one is begun"
        )
    if version > VERSION:
        raise BadConfiguration(
            f"the history {path} is of a newer pumpbench: version {version}, and this one knows {VERSION}",
            advice="use that one, or move the file away",
        )


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _places(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def _run_of(row: tuple[object, ...]) -> KeptRun:
    run = KeptRun(*row)  # type: ignore[arg-type]
    return run._replace(is_complete=bool(run.is_complete), is_virtual=bool(run.is_virtual))
