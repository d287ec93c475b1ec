"""Rules for an import: what a capture of another tool does not say by itself, in a small TOML file."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hil.errors import BadConfiguration
from protocol.capture.recording import Way

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

FORMATS: Final = ("xxd", "hexdump", "socat", "csv", "pcapng")
UNITS_NS: Final = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
BASES: Final = {"hex": 16, "dec": 10}
WAYS: Final = {way.words: way for way in Way}
OFFSET_MAX_MINUTES: Final = 14 * 60
HEADER_MAX_BYTES: Final = 256

_KEYS: Final[dict[str, dict[str, type]]] = {
    "": {
        "format": str,
        "start": datetime,
        "utc_offset_minutes": int,
        "header_bytes": int,
        "ignore": list,
        "direction": str,
        "columns": dict,
        "directions": dict,
    },
    "columns": {
        "time": str,
        "byte": str,
        "direction": str,
        "unit": str,
        "base": str,
        "separator": str,
        "notes": list,
    },
    "directions": dict.fromkeys(WAYS, list),
}
_TYPES: Final[dict[type, str]] = {
    str: "a text",
    int: "a whole number",
    list: "a list",
    dict: "a table",
    datetime: "a moment with its zone",
}


class Columns(NamedTuple):
    """The columns of a CSV by their names; None where there is none. `notes` become marks where they are not empty."""

    byte: str
    time: str | None = None
    direction: str | None = None
    unit: str = "s"
    base: str = "hex"
    separator: str = ","
    notes: tuple[str, ...] = ()


class Rules(NamedTuple):
    """All of it. `directions` has which words of the capture mean which way; `direction` is that of all its bytes."""

    path: Path | None = None
    format: str | None = None
    start_ns: int = 0
    utc_offset_minutes: int = 0
    header_bytes: int = 0
    ignore: tuple[str, ...] = ()
    direction: Way | None = None
    directions: Mapping[str, Way] = {}
    columns: Columns | None = None

    def way_of(self, word: str) -> Way | None:
        """The way that a word of the capture means; None where the rules do not have it."""
        return self.direction if self.direction is not None else self.directions.get(word)


def how_to_say(words: Iterable[str]) -> str:
    """What to write into the rules for these words of a capture, where nobody knows which of them is the pump's."""
    listed = ", ".join(f'"{word}"' for word in words)
    return (
        "write rules for --rules: under [directions], to-pump = [...] and from-pump = [...] with"
        f" {listed or 'the words of the capture'}"
    )


def read_rules(path: Path) -> Rules:
    """The rules in a file; BadConfiguration that names the key where they cannot be right."""
    try:
        with path.open("rb") as stream:
            document = tomllib.load(stream)
    except OSError as error:
        raise BadConfiguration(
            f"the rules {path} cannot be read ({error.strerror})", advice="check --rules"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadConfiguration(f"the rules {path} are no TOML: {error}", advice="check --rules") from error
    return _Reader(path).rules(document)


class _Reader:
    def __init__(self, path: Path) -> None:
        self._path = path

    def rules(self, document: dict[str, Any]) -> Rules:
        self._check(document, "")
        columns = document.get("columns")
        directions = document.get("directions", {})
        start = document.get("start")
        if start is not None and start.tzinfo is None:
            raise self._wrong("start", "a moment with its zone, such as 2026-03-02T09:00:00Z", start)
        one_way = document.get("direction")
        return Rules(
            self._path,
            self._one_of(document, "format", FORMATS),
            0 if start is None else _ns_of(start),
            self._within(document, "utc_offset_minutes", -OFFSET_MAX_MINUTES, OFFSET_MAX_MINUTES),
            self._within(document, "header_bytes", 0, HEADER_MAX_BYTES),
            self._texts("ignore", document.get("ignore", [])),
            None if one_way is None else WAYS[self._named("direction", one_way, WAYS)],
            self._directions(directions),
            None if columns is None else self._columns(columns),
        )

    def _directions(self, table: dict[str, Any]) -> dict[str, Way]:
        self._check(table, "directions")
        found: dict[str, Way] = {}
        for name, words in table.items():
            for word in self._texts(name, words):
                if word in found:
                    raise BadConfiguration(
                        f"the rules {self._path} say of {word!r} that it goes both ways", advice="keep one"
                    )
                found[word] = WAYS[name]
        return found

    def _columns(self, table: dict[str, Any]) -> Columns:
        self._check(table, "columns")
        if "byte" not in table:
            raise BadConfiguration(
                f"the rules {self._path} name no column of the bytes",
                advice='write byte = "..." under [columns]',
            )
        self._one_of(table, "unit", UNITS_NS)
        self._one_of(table, "base", BASES)
        if len(table.get("separator", ",")) != 1:
            raise self._wrong("separator", "one character", table["separator"])
        return Columns(**{**table, "notes": self._texts("notes", table.get("notes", []))})

    def _check(self, table: dict[str, Any], name: str) -> None:
        known = _KEYS[name]
        place = f" under [{name}]" if name else ""
        for key, value in table.items():
            if key not in known:
                raise BadConfiguration(
                    f"the rules {self._path} have {key!r}{place}, which means nothing",
                    advice=f"there are {', '.join(known)}",
                )
            if type(value) is not known[key]:
                raise self._wrong(key, _TYPES[known[key]], value)

    def _texts(self, key: str, values: list[Any]) -> tuple[str, ...]:
        for value in values:
            if not isinstance(value, str):
                raise self._wrong(key, "a list of texts", value)
        return tuple(values)

    def _one_of(self, table: dict[str, Any], key: str, known: Iterable[str]) -> str | None:
        return self._named(key, table[key], known) if key in table else None

    def _named(self, key: str, value: str, known: Iterable[str]) -> str:
        if value not in known:
            raise self._wrong(key, f"one of {', '.join(known)}", value)
        return value

    def _within(self, table: dict[str, Any], key: str, low: int, high: int) -> int:
        value: int = table.get(key, 0)
        if not low <= value <= high:
            raise self._wrong(key, f"from {low} to {high}", value)
        return value

    def _wrong(self, key: str, expected: str, value: object) -> BadConfiguration:
        return BadConfiguration(
            f"the rules {self._path} say {key} = {str(value)!r}", advice=f"{key} is {expected}"
        )


def _ns_of(moment: datetime) -> int:
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1_000
