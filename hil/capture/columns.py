"""A recording for Python: each table by its columns, as arrays of numpy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hil.capture.messages import Many, read_messages
from hil.capture.soundness import Soundness
from hil.capture.tables import TABLES, Table
from hil.errors import BadConfiguration
from hil.key_file import read_keys
from protocol.capture.pcapng import Damage
from protocol.capture.recording import Beginning

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import numpy as np

    from hil.capture.tables import Row
    from protocol.capture.pcapng import Taker

Columns = dict[str, "np.ma.MaskedArray[Any, Any]"]


@dataclass(frozen=True)
class Recording:
    """A recording in memory.

    Each table has its columns by name, all of one length, as masked arrays: int64 for numbers, objects for texts, and
    masked where a value is absent; a table that was not asked for has none. What they mean stands in
    hil/capture/README.md.
    """

    told: tuple[Mapping[str, str], ...]
    """What each recorder said of the recording, one after another where files were joined."""
    messages: Columns
    telemetry: Columns
    log: Columns
    alarms: Columns
    damage: tuple[str, ...]
    """What could not be read, in words; empty where all could."""
    remarks: tuple[str, ...]
    """What is strange about what could be read: sealed frames, times that go back, the lines of two pumps."""


def taker_for(names: Iterable[str]) -> Taker | None:
    """What reads many frames at once for these tables; None where they have each of them, and without numpy."""
    if any(TABLES[name].opcode is None for name in names):
        return None
    try:
        from hil.capture import at_once  # noqa: PLC0415 - of an extra
    except ImportError:
        return None
    return at_once.taker_for(names)


def read_recording(
    path: Path | str, key: Path | str | None = None, tables: Iterable[str] = tuple(TABLES)
) -> Recording:
    """A recording in pcapng; `key` is a key file of its device, for one that holds no keys.

    `tables` says which of its tables are wanted. Without `messages` a long recording is read some twenty times as fast,
    since frames of which the others have nothing are read many at once.
    Damage is told in the result and raises nothing. BadConfiguration where the file is no recording or cannot be read,
    and where numpy is not installed.
    """
    np = _numpy()
    keys = [] if key is None else read_keys(Path(key))
    told: list[Mapping[str, str]] = []
    damage: list[str] = []
    wanted = set(tables)
    if not wanted <= set(TABLES):
        raise ValueError(
            f"there is no table {', '.join(sorted(wanted - set(TABLES)))}, but {', '.join(TABLES)}"
        )
    rows_of = {name: TABLES[name].rows() for name in wanted}
    columns = {name: _Columns(np, TABLES[name]) for name in wanted}
    soundness = Soundness()
    for entry in soundness.watching(read_messages(Path(path), keys, taker_for(wanted))):
        if isinstance(entry, Many):
            if "telemetry" in wanted:
                columns["telemetry"].add(entry)
            continue
        if isinstance(entry, Damage):
            damage.append(entry.what if entry.at < 0 else f"byte {entry.at}: {entry.what}")
        elif isinstance(entry, Beginning):
            told.append(entry.told)
        for name, rows in rows_of.items():
            columns[name].add_rows(rows(entry))
    remarks = tuple(soundness.remarks(Path(path)))
    arrays: dict[str, Columns] = {name: columns[name].arrays() if name in wanted else {} for name in TABLES}
    return Recording(tuple(told), damage=tuple(damage), remarks=remarks, **arrays)


class _Columns:
    """The columns of one table as they come: of rows, and of many statuses at once."""

    def __init__(self, np: Any, table: Table) -> None:
        self._np = np
        self._table = table
        self._rows: list[Row] = []
        self._many: list[Many] = []
        self._pieces: list[list[tuple[Any, Any]]] = [[] for _ in table.columns]

    def add_rows(self, rows: Iterable[Row]) -> None:
        """Rows one by one."""
        before = len(self._rows)
        self._rows.extend(rows)
        if self._many and len(self._rows) > before:
            self._take_many()

    def add(self, many: Many) -> None:
        """Statuses that were read at once."""
        if self._rows:
            self._take_rows()
        self._many.append(many)

    def arrays(self) -> Columns:
        """All that has come."""
        self._take_many()
        self._take_rows()
        np, arrays = self._np, {}
        for column, pieces in zip(self._table.columns, self._pieces, strict=True):
            values, absent = pieces[0]
            if len(pieces) > 1:
                values, absent = (np.concatenate(each) for each in zip(*pieces, strict=True))
            arrays[column.name] = np.ma.MaskedArray(values, mask=absent)
        return arrays

    def _take_many(self) -> None:
        if not self._many:
            return
        from hil.capture.at_once import joined  # noqa: PLC0415 - of an extra, as these are

        columns = joined([many.statuses for many in self._many]).columns(self._many[0].began_ns)
        for pieces, (values, absent) in zip(self._pieces, columns, strict=True):
            pieces.append(self._filled(values, absent))
        self._many.clear()

    def _take_rows(self) -> None:
        if not self._rows and self._pieces[0]:
            return
        np = self._np
        for number, column in enumerate(self._table.columns):
            values = [row[number] for row in self._rows]
            absent = [value is None for value in values]
            dtype, empty = (np.int64, 0) if column.is_number else (object, "")
            filled = [empty if value is None else value for value in values]
            self._pieces[number].append((np.array(filled, dtype), np.array(absent, bool)))
        self._rows.clear()

    def _filled(self, values: Any, absent: Any) -> tuple[Any, Any]:
        """Values and where they are absent, with zeros or empty texts in the places of those."""
        np = self._np
        if absent is None:
            return values, np.zeros(len(values), bool)
        return np.where(absent, 0 if values.dtype == np.int64 else "", values), absent


def _numpy() -> Any:
    try:
        import numpy as np  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise BadConfiguration(
            "numpy is not installed, and columns of a recording are its arrays",
            advice="pip install 'pumpbench[columns]', or use `pumpbench export`",
        ) from error
    return np
