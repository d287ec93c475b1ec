"""What a rig tells of the snapshots that its bench keeps. The states themselves are the bench's alone to read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, NoReturn, Protocol

from hil.capabilities import TargetCapability, lacks
from hil.errors import UsageError


class RigSnapshot(NamedTuple):
    """A pump that a bench keeps as it was at one moment, by its name."""

    name: str
    profile: str
    serial: str
    pump_ms: int


def name_of_snapshot(name: object) -> str:
    """A name of a snapshot; UsageError where it is none."""
    if not isinstance(name, str):
        raise UsageError(f"the name of a snapshot is text, and this is {type(name).__name__}")
    if not name:  # of any other the bench says it; without one there is no address to ask at
        raise UsageError("'' is no name of a snapshot", advice="name it")
    return name


def document_of_snapshot(document: object) -> dict[str, Any]:
    """A document of a snapshot; UsageError where it is no table, as JSON has it."""
    if not isinstance(document, Mapping):
        raise UsageError(
            f"a snapshot is put as what read_snapshot says, and this is {type(document).__name__}"
        )
    return dict(document)


class RigRestored(NamedTuple):
    """Where a bench goes on from: pump time, and what the pump's memory is called from there on."""

    now_ms: int
    memory_id: int


class KeepsSnapshots(Protocol):
    """The part of a rig that goes back: capability `snapshot`."""

    def _no_snapshots(self) -> NoReturn:
        """Say that this rig keeps none."""
        raise lacks(TargetCapability.SNAPSHOT)

    def snapshot(self, name: str) -> RigSnapshot:  # noqa: ARG002 - of the protocol
        """Keep the pump under a name as it is now, with its session and whatever is running; it stays as it is."""
        self._no_snapshots()

    def snapshots(self) -> tuple[RigSnapshot, ...]:
        """What the bench keeps by now, the newest last; it goes with the bench."""
        self._no_snapshots()

    def restore(self, name: str, memory_id: int | None = None) -> RigRestored:  # noqa: ARG002 - of the protocol
        """Go on from a snapshot, any number of times. Time goes on from there, and so may go back.

        To a programmer the pump is one that has lost what it did since: its session is over, and its memory has another
        id (`memory_id`, u64, or without it one that is new), so that outcomes that were open stay unknown.
        """
        self._no_snapshots()

    def forget(self, name: str) -> None:  # noqa: ARG002 - of the protocol
        """Throw a snapshot away."""
        self._no_snapshots()

    def read_snapshot(self, name: str) -> dict[str, Any]:  # noqa: ARG002 - of the protocol
        """A snapshot as a document of JSON. It holds the keys of the pump and of its session: not for others' eyes."""
        self._no_snapshots()

    def put_snapshot(self, name: str, document: Mapping[str, Any]) -> RigSnapshot:  # noqa: ARG002 - of the protocol
        """Keep a document under a name; UsageError where it is damaged, or of another version."""
        self._no_snapshots()


class Difference(NamedTuple):
    """One field that two snapshots hold otherwise; None where one of them has none of that name."""

    field: str
    one: int | bool | str | None
    other: int | bool | str | None


def differences(one: Mapping[str, object], other: Mapping[str, object]) -> list[Difference]:
    """What two documents of snapshots hold otherwise, field by field, in the order of the first; UsageError for none.

    A field is named by the way to it from the pump, as `pump.plant.reservoir.volume_nl_ppm`; of several ways by the
    shortest.
    """
    return [
        Difference(field, _plain(fields.get(field)), _plain(others.get(field)))
        for fields, others in [(fields_of(one), fields_of(other))]
        for field in dict.fromkeys([*fields, *others])
        if fields.get(field, _MISSING) != others.get(field, _MISSING)
    ]


def _plain(value: object) -> int | bool | str | None:
    return value if value is None or isinstance(value, int | str) else str(value)


_MISSING = object()
_ROOT_FIELDS = ("pump", "trace_hash")


def fields_of(document: Mapping[str, object]) -> dict[str, object]:
    """Every value that a snapshot holds, by the way to it."""
    try:
        state = document["state"]
        return dict(_Walk(state["objects"], state["root"]).fields())  # type: ignore[index]
    except (KeyError, IndexError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise UsageError(
            f"this is no snapshot of a pump ({type(error).__name__}: {error})",
            advice="name a file that `pumpbench rig snapshot --out FILE` wrote",
        ) from error


class _Walk:
    """From the root of a state to each of its values; an object is told by the shortest way to it, and once."""

    def __init__(self, rows: list[Mapping[str, object]], root: object) -> None:
        self._rows = rows
        self._root = root
        self._told_at: dict[int, str] = {}
        waiting = [("", root)]
        for way, held in waiting:
            number = _number_of(held)
            if number is not None and number not in self._told_at:
                self._told_at[number] = way
                waiting += self._parts(way, rows[number]) or ()

    def fields(self, way: str = "") -> list[tuple[str, object]]:
        """All values, each with the way to it."""
        return self._fields(way, self._root)

    def _fields(self, way: str, held: object) -> list[tuple[str, object]]:
        number = _number_of(held)
        if number is None:
            return [(way, next(iter(held.values())) if isinstance(held, dict) else held)]
        if self._told_at[number] != way:
            return [(way, f"= {self._told_at[number] or 'the snapshot'}")]
        row = self._rows[number]
        parts = self._parts(way, row)
        if parts is not None:
            return [field for part in parts for field in self._fields(*part)] or [(way, "nothing in it")]
        if "enum" in row:
            return [(way, row["value"])]
        return [(way, {name: value for name, value in row.items() if name != "of"})]

    def _parts(self, way: str, row: Mapping[str, object]) -> list[tuple[str, object]] | None:
        """What an object holds, each with the way to it; None of one that is a value itself."""
        match row:
            case {"fields": dict(fields)}:
                parts = [(f".{name}", held) for name, held in fields.items()]
            case {"tuple": list(items)} if str(row.get("class", "")).endswith(":Snapshot"):
                parts = [(f".{name}", held) for name, held in zip(_ROOT_FIELDS, items, strict=True)]
            case (
                {"tuple": list(items)} | {"list": list(items)} | {"deque": list(items)} | {"set": list(items)}
            ):
                parts = [(f"[{number}]", held) for number, held in enumerate(items)]
            case {"dict": list(items)}:
                parts = [(f"[{self._key(key)}]", held) for key, held in items]
            case _:
                return None
        return [(f"{way}{name}".lstrip("."), held) for name, held in parts]

    def _key(self, key: object) -> object:
        """The key of a dict, in words."""
        if not isinstance(key, dict):
            return key
        ((_way, value),) = _Walk(self._rows, key).fields()
        return value


def _number_of(held: object) -> int | None:
    """Which object something stands for; None of a value."""
    return held.get("object") if isinstance(held, dict) else None
