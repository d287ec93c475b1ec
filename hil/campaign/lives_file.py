"""The file of a campaign: SQLite, a transaction a life, so that a run that was killed has lost only what was in play.

It says which plan and which code its lives are of; lives of others are never mixed into it.
"""

from __future__ import annotations

import json
import platform
import sqlite3
import sys
from contextlib import closing, contextmanager, suppress
from importlib import metadata
from operator import index
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from firmware_emu.faults.catalogue import FAULTS
from hil.campaign.deed import Event
from hil.campaign.exploring import Explored, read_branch
from hil.campaign.measuring import FaultLived
from hil.campaign.plan import LAST_SEED
from hil.campaign.playing import RAISED, Lived
from hil.campaign.properties import INVARIANTS
from hil.errors import BadConfiguration, InUse, PumpbenchError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VERSION: Final = 3
"""Of the tables; a file of another one is not touched."""
APPLICATION_ID: Final = 0x504D5043
"""By which the file is known as ours: "PMPC"."""
WAIT_S: Final = 1.0
WHOLE_MAX: Final = 2**63 - 1
"""What SQLite holds."""
LAST_SECOND: Final = 253_402_300_799
"""Of the year 9999, since 1970."""
TABLES: Final = (
    """CREATE TABLE campaign (plan TEXT NOT NULL, code TEXT NOT NULL, elapsed_ms INTEGER NOT NULL,
        pumpbench TEXT NOT NULL, python TEXT NOT NULL, began_at_s INTEGER NOT NULL, runs INTEGER NOT NULL)""",
    """CREATE TABLE lives (seed INTEGER PRIMARY KEY, pump_ms INTEGER NOT NULL, marks TEXT NOT NULL,
        pairs TEXT NOT NULL, invariant TEXT, found TEXT NOT NULL, measured TEXT NOT NULL, faults TEXT NOT NULL,
        story TEXT NOT NULL, branch TEXT NOT NULL, deeds INTEGER NOT NULL, cells TEXT NOT NULL,
        explored TEXT NOT NULL)""",
)


class Origin(NamedTuple):
    """Who played the lives of a file, and when."""

    code_sha256: str
    pumpbench: str
    """Version at the first run; the code is the same at all."""
    python: str
    """Likewise."""
    began_at_s: int
    """When the first run began, in s since 1970 by the host's clock."""
    runs: int
    """How many played into it: more than 1 where it was resumed."""
    elapsed_ms: int
    """How long was played over all of them, by the host's clock."""


class LivesFile:
    """An open file of a campaign. sqlite3.Error where it cannot be read or written any more."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def is_empty(self) -> bool:
        """Whether nothing is in it yet."""
        return not self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]

    def add(self, lived: Lived, elapsed_ms: int) -> None:
        """Keep a life, and how long has been played so far."""
        with self._connection:
            self._connection.execute(
                "INSERT INTO lives VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    lived.seed,
                    lived.pump_ms,
                    json.dumps(lived.marks),
                    json.dumps(lived.pairs),
                    lived.invariant,
                    lived.found.encode("utf-8", "backslashreplace").decode(),
                    json.dumps(dict(lived.measured)),
                    json.dumps(lived.faults),
                    json.dumps(lived.story),
                    lived.branch,
                    lived.deeds,
                    json.dumps(lived.cells),
                    json.dumps(lived.explored),
                ),
            )
            self._connection.execute("UPDATE campaign SET elapsed_ms = ?", (elapsed_ms,))

    def lives(self) -> Iterator[Lived]:
        """All lives that are kept, by their seeds."""
        for row in self._connection.execute(f"SELECT {_COLUMNS} FROM lives ORDER BY seed"):  # noqa: S608 - ours
            yield _read(row)

    def seeds(self) -> list[int]:
        """The seeds of all lives that are kept, in their order."""
        return [row[0] for row in self._connection.execute("SELECT seed FROM lives ORDER BY seed")]

    def life(self, seed: int) -> Lived:
        """The life of a seed that is kept."""
        of_seed = f"SELECT {_COLUMNS} FROM lives WHERE seed = ?"  # noqa: S608 - ours
        return _read(self._connection.execute(of_seed, (seed,)).fetchone())

    def origin(self) -> Origin:
        """Who played the lives, and when."""
        columns = "code, pumpbench, python, began_at_s, runs, elapsed_ms"
        code, pumpbench, python, *numbers = self._said(columns)
        if not all(type(each) is int and 0 <= each <= LAST_SECOND for each in numbers):
            raise sqlite3.DataError(f"no campaign writes times and runs so: {numbers}")
        return Origin(str(code), str(pumpbench), str(python), *numbers)

    def _said(self, columns: str) -> tuple[Any, ...]:
        """What the file says of itself."""
        rows = self._connection.execute(f"SELECT {columns} FROM campaign").fetchall()  # noqa: S608 - ours
        if len(rows) != 1:
            raise sqlite3.DataError(f"it says {len(rows)} times what its lives are of, and not once")
        return tuple(rows[0])

    def take(self) -> None:
        """Count another run, so that none but it can have the file from now on."""
        with self._connection:
            self._connection.execute("UPDATE campaign SET runs = runs + 1")

    @contextmanager
    def _written_ahead(self) -> Iterator[None]:
        """Each life is written once, at the end of another file: a tenth of a ms where a commit of its own takes 15.

        A process that is killed loses nothing by it, a power cut of this machine the last few lives at most.
        """
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.execute("PRAGMA journal_mode = WAL")
        try:
            yield
        finally:
            with suppress(sqlite3.Error):  # what cannot be one file now is by whoever opens it next
                self._connection.execute("PRAGMA journal_mode = DELETE")

    def _begin(self, plan: str, code: str, began_at_s: int) -> None:
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")  # else each table would be there before the next
            for statement in TABLES:
                self._connection.execute(statement)
            versions = (metadata.version("pumpbench"), platform.python_version())
            self._connection.execute(
                "INSERT INTO campaign VALUES (?, ?, 0, ?, ?, ?, 1)", (plan, code, *versions, began_at_s)
            )
            self._connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            self._connection.execute(f"PRAGMA user_version = {VERSION}")

    def _check(self, path: Path, plan: str, code: str | None) -> None:
        """`code`: that which goes on with it; None: it is only read."""
        marks = [self._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in _MARKS]
        if marks[0] != APPLICATION_ID:
            raise BadConfiguration(f"{path} is no file of a campaign", advice="name another")
        if marks[1] != VERSION:
            raise BadConfiguration(
                f"{path} is a file of a campaign of version {marks[1]}, and this pumpbench writes and reads "
                f"version {VERSION}",
                advice="begin anew, with another file",
            )
        row = self._said("plan, code")
        if row[0] != plan:
            raise BadConfiguration(
                f"{path} has lives of another plan",
                advice="name the plan it began with, and --minutes and --explore as it began"
                + ("" if code is None else ", or another file"),
            )
        if code is not None and row[1] != code:
            raise BadConfiguration(
                f"{path} has lives that other code played: with those of this code they would be no result, and "
                "--resume cannot go on with them",
                advice="begin anew and name another file with --out; `pumpbench campaign report` still reads this one",
            )


_COLUMNS: Final = (
    "seed, pump_ms, marks, pairs, invariant, found, measured, faults, story, branch, deeds, cells, explored"
)


def _read(row: tuple[Any, ...]) -> Lived:
    """A life as it was kept; sqlite3.DataError where no campaign keeps one so."""
    try:
        return _lived(row)
    except (ValueError, TypeError, RecursionError, PumpbenchError) as error:
        raise sqlite3.DataError(f"no campaign writes life {row[0]!r} so: {error}") from error


def _lived(row: tuple[Any, ...]) -> Lived:
    """A life as it was kept; ValueError, TypeError or an error of ours where no campaign keeps one so."""
    seed, pump_ms, marks, pairs, invariant, found, measured, faults, story, branch, deeds, cells, explored = (
        row
    )
    forks, fork_deeds, fork_ms, fork_marks, fork_cells = json.loads(explored)
    if invariant is not None and invariant != RAISED and invariant not in INVARIANTS:
        raise ValueError(f"there is no invariant {invariant!r}")
    if branch:
        read_branch(branch)
    return Lived(
        _whole(seed, LAST_SEED),
        _whole(pump_ms),
        _names(json.loads(marks)),
        tuple((str(fault), str(work)) for fault, work in json.loads(pairs)),
        invariant,
        str(found),
        tuple((name, tuple(map(index, values))) for name, values in json.loads(measured).items()),
        tuple(_fault_lived(*each) for each in json.loads(faults)),
        tuple(Event(_whole(at_ms), str(deed), _whole(number)) for at_ms, deed, number in json.loads(story)),
        branch,
        _whole(deeds),
        _names(json.loads(cells)),
        Explored(_whole(forks), _whole(fork_deeds), _whole(fork_ms), _names(fork_marks), _names(fork_cells)),
    )


def _fault_lived(name: str, *numbers: int) -> FaultLived:
    if name not in FAULTS:
        raise ValueError(f"the catalogue has no fault {name!r}")
    effects, at_work_ms, lost_ms, error_nl, at_end, *risks = map(_whole, numbers)
    return FaultLived(name, effects, at_work_ms, lost_ms, error_nl, bool(at_end), *risks)


def _whole(value: object, last: int = WHOLE_MAX) -> int:
    if not isinstance(value, int) or not 0 <= value <= last:
        raise ValueError(f"{value!r} is no whole number from 0 to {last}")
    return value


def _names(names: list[str]) -> tuple[str, ...]:
    """The same texts for the same names: each cell is of most lives."""
    return tuple(map(sys.intern, names))


_MARKS: Final = ("application_id", "user_version")


@contextmanager
def lives_file(path: Path, *, plan: str, code: str, resume: bool, now_s: int = 0) -> Iterator[LivesFile]:
    """The file of a campaign, for this process alone: a new one, or with `resume` one that may be there.

    `plan` and `code` say what its lives are of, `now_s` when it is (since 1970). BadConfiguration where it cannot be
    that, or is there without `resume`: it names --resume only where that would go on. InUse where another run has it.
    """
    was_there = _is_there(path)
    with _connected(path, "check --out") as file:
        is_empty = file.is_empty()
        if not is_empty:
            file._check(path, plan, code)
        if was_there and not resume:
            raise BadConfiguration(f"{path} exists", advice="go on with --resume, or name another with --out")
        if is_empty:
            file._begin(plan, code, now_s)
        else:
            file.take()
        with file._written_ahead():
            yield file


@contextmanager
def kept_lives(path: Path, *, plan: str) -> Iterator[LivesFile]:
    """The file of a campaign that was played, by whatever code, to be read.

    BadConfiguration where it is none, or of another plan; InUse where a run has it.
    """
    if not _is_there(path):
        raise BadConfiguration(f"there is no file {path}", advice="name the file of a campaign")
    with _connected(path, "name the file of a campaign") as file:
        file._check(path, plan, None)
        yield file


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:
        raise BadConfiguration(
            f"{path} cannot be read or written ({error.strerror})", advice="name another file"
        ) from error


@contextmanager
def _connected(path: Path, advice: str) -> Iterator[LivesFile]:
    try:
        with closing(sqlite3.connect(path, timeout=WAIT_S)) as connection:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            yield LivesFile(connection)
    except sqlite3.Error as error:
        if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
            raise InUse(
                f"another run plays into {path}", advice="wait for it, or name another file"
            ) from error
        if isinstance(error, sqlite3.OperationalError) and "disk is full" in str(error):
            raise BadConfiguration(
                f"there is no room for {path}; the lives in it are kept",
                advice="make room, then go on with --resume",
            ) from error
        raise BadConfiguration(f"{path} cannot be read or written ({error})", advice=advice) from error
