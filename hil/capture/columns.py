"""A recording for Python: each table by its columns, as arrays of numpy. The only place that imports it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hil.capture.messages import read_messages
from hil.capture.soundness import Soundness
from hil.capture.tables import TABLES, Table
from hil.errors import BadConfiguration
from hil.key_file import read_keys
from protocol.capture.pcapng import Damage
from protocol.capture.recording import Beginning

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

Columns = dict[str, "np.ma.MaskedArray[Any, Any]"]


@dataclass(frozen=True)
class Recording:
    """A recording in memory.

    Each table has its columns by name, all of one length, as masked arrays: int64 for numbers, objects for texts, and
    masked where a value is absent. What the columns mean stands in hil/capture/README.md.
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


def read_recording(path: Path | str, key: Path | str | None = None) -> Recording:
    """A recording in pcapng; `key` is a key file of its device, for one that holds no keys.

    Damage is told in the result and raises nothing. BadConfiguration where the file is no recording or cannot be read,
    and where numpy is not installed.
    """
    np = _numpy()
    keys = [] if key is None else read_keys(Path(key))
    told: list[Mapping[str, str]] = []
    damage: list[str] = []
    rows_of = {name: table.rows() for name, table in TABLES.items()}
    columns: dict[str, list[list[Any]]] = {
        name: [[] for _ in table.columns] for name, table in TABLES.items()
    }
    soundness = Soundness()
    for entry in soundness.watching(read_messages(Path(path), keys)):
        if isinstance(entry, Damage):
            damage.append(entry.what if entry.at < 0 else f"byte {entry.at}: {entry.what}")
        elif isinstance(entry, Beginning):
            told.append(entry.told)
        for name, rows in rows_of.items():
            for row in rows(entry):
                for column, value in zip(columns[name], row, strict=True):
                    column.append(value)
    tables = {name: _arrays(np, table, columns[name]) for name, table in TABLES.items()}
    remarks = tuple(soundness.remarks(Path(path)))
    return Recording(tuple(told), damage=tuple(damage), remarks=remarks, **tables)


def _arrays(np: Any, table: Table, columns: list[list[Any]]) -> Columns:
    arrays = {}
    for column, values in zip(table.columns, columns, strict=True):
        mask = [value is None for value in values]
        if column.is_number:
            data = np.array([0 if value is None else value for value in values], dtype=np.int64)
        else:
            data = np.array(["" if value is None else value for value in values], dtype=object)
        arrays[column.name] = np.ma.MaskedArray(data, mask=mask)
    return arrays


def _numpy() -> Any:
    try:
        import numpy as np  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise BadConfiguration(
            "numpy is not installed, and columns of a recording are its arrays",
            advice="pip install 'pumpbench[columns]', or use `pumpbench export`",
        ) from error
    return np
