"""The bench file, `pumpbench.toml`: which boards a lab has, under names that are addresses (`bench:NAME`).

The nearest one upward from where one stands counts, as with `pyproject.toml`:

    [targets.rig1]
    address = "usb:0403:6001:A50285BI"
    baud = 115200
    identity = {serial = "EMU-00000001"}
    reset = "dtr"
    [targets.rig1.instruments.balance]
    port = "/dev/ttyUSB1"

Every error is one sentence: file, line, key, what was expected, what came. One in the table of a board refuses that
board alone. What stands under `instruments` is read here
and handed on as it is: `hil.instruments` knows its kinds.
"""

from __future__ import annotations

import re
import shlex
import stat
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hil.capabilities import ALL_NAMES, TargetCapability, parse_needs
from hil.errors import BadConfiguration
from hil.own_paths import check_working_directory
from hil.targets.reset import NO_RESET, RESET_METHODS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

NAME: Final = "pumpbench.toml"
FILE_BYTES_MAX: Final = 256 * 1024
"""A hundred times what a lab needs; a device that is named by mistake must not hang us."""
BAUD_MAX: Final = 4_000_000
LEASE_IDLE_S: Final = 1_800
LEASE_IDLE_MAX_S: Final = 7 * 86_400
SHOWN_CHARACTERS: Final = 60
NAME_PATTERN: Final = "[A-Za-z0-9][A-Za-z0-9._-]{0,59}"
SERIAL_PATTERN: Final = "[ -~]{1,12}"
MEMORY_PATTERN: Final = "[0-9a-fA-F]{16}"


class Key(NamedTuple):
    """One key of a table: what is expected, as a phrase after "must be", whether a value is that, and its schema."""

    meaning: str
    expected: str
    accepts: Callable[[object], bool]
    schema: dict[str, Any]


def _text(meaning: str, expected: str, pattern: str = r"[^\x00-\x1f\x7f]+") -> Key:
    return Key(
        meaning,
        expected,
        lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None,
        {"type": "string", "pattern": f"^{pattern}$"},
    )


def _command(meaning: str) -> Key:
    """A command as one text; its words are split as a shell splits them, and no shell runs it."""
    return Key(
        meaning,
        'a command as one text, such as "uhubctl -a off"; it is run without a shell',
        lambda value: isinstance(value, str) and bool(_words(value)),
        {"type": "string", "minLength": 1},
    )


def _one_of(meaning: str, names: tuple[str, ...]) -> Key:
    listed = ", ".join(f'"{name}"' for name in names)
    return Key(meaning, f"one of {listed}", lambda value: value in names, {"enum": list(names)})


def _whole(meaning: str, low: int, high: int) -> Key:
    return Key(
        meaning,
        f"a whole number from {low} to {high}",
        lambda value: type(value) is int and low <= value <= high,
        {"type": "integer", "minimum": low, "maximum": high},
    )


def _yes_or_no(meaning: str) -> Key:
    return Key(meaning, "true or false", lambda value: isinstance(value, bool), {"type": "boolean"})


def _table(meaning: str) -> Key:
    return Key(meaning, "a table", lambda value: isinstance(value, dict), {"type": "object"})


_KNOWN_CAPABILITIES: Final = Key(
    "what the bench has to be able to do: refused where no instrument of the target gives it",
    f"a list of {', '.join(ALL_NAMES)}",
    lambda value: isinstance(value, list) and all(name in ALL_NAMES for name in value),
    {"type": "array", "uniqueItems": True, "items": {"enum": list(ALL_NAMES)}},
)

IDENTITY_KEYS: Final[dict[str, Key]] = {
    "serial": _text("serial number of the pump, as GET_INFO says it", "1 to 12 characters", SERIAL_PATTERN),
    "memory_id": _text("identity of its memory, as GET_INFO says it", "16 hex digits", MEMORY_PATTERN),
    "kind": _one_of("what has to answer: a real pump, or an emulator in its place", ("hardware", "emulator")),
}
HOOK_KEYS: Final[dict[str, Key]] = {
    "before": _command("run once the lease is taken; where it fails, the lease is given back"),
    "after": _command("run before the lease is given back, also after a failure"),
}
TARGET_KEYS: Final[dict[str, Key]] = {
    "address": _text(
        "where the board is: usb:VID:PID:SERIAL, a device path, socket://HOST:PORT", "an address"
    ),
    "baud": _whole("speed of the line, in bits per second (default: 115200)", 1, BAUD_MAX),
    "dtr": _yes_or_no("the level of DTR while the port is open (default: true, as the system sets it)"),
    "rts": _yes_or_no("the level of RTS while the port is open (default: true, as the system sets it)"),
    "reset": _one_of("how the board is reset where that is asked for", tuple(RESET_METHODS)),
    "reset_command": _command('the command of reset = "command"'),
    "capabilities": _KNOWN_CAPABILITIES,
    "key_file": _text("key file of this board, relative to the bench file", "a path"),
    "profile": _text("profile that the board was programmed with, a name or a path", "a name or a path"),
    "console": _text(
        "address of a second port, with the board's own voice, its speed behind it: /dev/ttyUSB7?baud=9600",
        "an address",
    ),
    "firmware": _text(
        "file of the firmware on the board, relative to the bench file: its hash is reported", "a path"
    ),
    "flash": _command("writes the firmware to the board"),
    "identity": _table("which pump has to answer here"),
    "hooks": _table("commands around the lease"),
    "lease_idle_s": _whole(
        "a lease that is held and not used ends after so many seconds", 1, LEASE_IDLE_MAX_S
    ),
    "instruments": _table("a table for each instrument of the rig, by its name"),
}
TOP_KEYS: Final[dict[str, Key]] = {
    "leases": _text("directory of the locks on boards, for all users of this bench", "a path"),
    "targets": _table("a table for each board, by its name"),
}
_NAME_PATHS: Final = frozenset({"path", "pty"})
"""Schemes whose places are paths."""
INNER: Final[dict[str, dict[str, Key]]] = {"identity": IDENTITY_KEYS, "hooks": HOOK_KEYS}
"""Tables of a target whose keys are known here."""


@dataclass(frozen=True, slots=True)
class BenchTarget:
    """One board of a bench file. None and "" stand for what the file does not say."""

    name: str
    path: Path
    """The bench file."""
    address: str
    baud: int | None = None
    dtr: bool = True
    rts: bool = True
    reset: str = NO_RESET
    reset_command: tuple[str, ...] = ()
    capabilities: frozenset[TargetCapability] = frozenset()
    key_file: Path | None = None
    profile: str = ""
    console: str = ""
    firmware: Path | None = None
    flash: tuple[str, ...] = ()
    serial: str = ""
    memory_id: int | None = None
    kind: str = ""
    """What has to answer: `hardware` or `emulator`."""
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    lease_idle_s: int = LEASE_IDLE_S
    leases: Path | None = None
    """Where the locks on boards are; None: in the person's own directory."""
    instruments: Mapping[str, Mapping[str, object]] = field(default_factory=dict)

    @property
    def directory(self) -> Path:
        """Where the bench file is: its commands run there."""
        return self.path.parent


@dataclass(frozen=True, slots=True)
class BenchFile:
    """A bench file that was read whole."""

    path: Path
    targets: Mapping[str, BenchTarget]
    refused: Mapping[str, BadConfiguration]
    """Boards whose tables cannot be right, by name, each with what is wrong there."""

    def target(self, name: str) -> BenchTarget:
        """The board of that name. BadConfiguration says what is wrong in its table, or which boards there are."""
        if name in self.refused:
            raise self.refused[name]
        if name not in self.targets:
            known = ", ".join((*self.targets, *self.refused)) or "none"
            raise BadConfiguration(
                f"{self.path} has no target {name!r}; it has: {known}",
                advice=f"name one of them, or write [targets.{name}]",
            )
        return self.targets[name]


def find_bench_file(start: Path | None = None) -> Path | None:
    """The nearest bench file upward from `start`, or from where this was started; None where there is none."""
    if start is None:
        check_working_directory()
        start = Path.cwd()
    return next((place / NAME for place in (start, *start.parents) if (place / NAME).exists()), None)


def nearest_bench_file(start: Path | None = None) -> BenchFile:
    """The nearest bench file, read. BadConfiguration where there is none, or it cannot be right."""
    path = find_bench_file(start)
    if path is None:
        raise BadConfiguration(
            f"there is no bench file: no {NAME} in {start or Path.cwd()} or above it",
            advice='write one with [targets.NAME] and address = "...", or name the board by its address',
        )
    return read_bench_file(path)


def read_bench_file(path: Path) -> BenchFile:
    """All targets of a bench file. BadConfiguration names file, line, key, what was expected and what came.

    What is wrong in the table of a target is kept in `refused`: the others can be used.
    """
    text = _content(path)
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadConfiguration(
            f"{path} is not TOML: {error}", advice="see hil/README.md, The bench file"
        ) from error
    return _Reader(path, text).bench(document)


def _content(path: Path) -> str:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise BadConfiguration(f"{path} is no regular file", advice="a bench file is a text in TOML")
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise BadConfiguration(
            f"{path} cannot be read ({error.strerror})", advice="check its rights"
        ) from error
    if len(content) > FILE_BYTES_MAX:
        raise BadConfiguration(f"{path} is larger than {FILE_BYTES_MAX} bytes, which no bench file is")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise BadConfiguration(f"{path} is not UTF-8 text, at byte {error.start}") from error


def _words(text: str) -> tuple[str, ...]:
    """The words of a command; none where its quotes do not close."""
    try:
        return tuple(shlex.split(text))
    except ValueError:
        return ()


class _Reader:
    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._lines = text.splitlines()

    def bench(self, document: dict[str, Any]) -> BenchFile:
        top = self._checked(document, TOP_KEYS, ())
        leases = None if "leases" not in top else self.beside(top["leases"])
        targets: dict[str, BenchTarget] = {}
        refused: dict[str, BadConfiguration] = {}
        for name, table in top.get("targets", {}).items():
            try:
                targets[name] = self._target(name, table, leases)
            except BadConfiguration as error:
                refused[name] = error
        return BenchFile(self._path, targets, refused)

    def _target(self, name: str, table: object, leases: Path | None) -> BenchTarget:
        place = ("targets", name)
        if not re.fullmatch(NAME_PATTERN, name):
            raise self._wrong(place, "a name of letters, digits, dots, dashes and underscores", name)
        if not isinstance(table, dict):
            raise self._wrong(place, f"a table, [targets.{name}]", table)
        said = dict(self._checked(table, TARGET_KEYS, place))
        for inner, keys in INNER.items():
            said |= self._checked(said.pop(inner, {}), keys, (*place, inner))
        if "address" not in said:
            raise BadConfiguration(
                f"{self._at(place)}: {_dotted(place)}.address is missing; it must be an address"
            )
        said["address"] = self._address((*place, "address"), said["address"], said.get("baud"))
        if "console" in said:
            said["console"] = self._address((*place, "console"), said["console"], None)
            if said["console"].partition("?")[0] == said["address"].partition("?")[0]:
                raise self._wrong((*place, "console"), "another port than the therapy line", said["console"])
        self._check_reset(place, said)
        for instrument, fields in said.get("instruments", {}).items():
            if not isinstance(fields, dict):
                raise self._wrong((*place, "instruments", instrument), "a table", fields)
        said |= {key: convert(self, said[key]) for key, convert in _CONVERTED.items() if key in said}
        return BenchTarget(name, self._path, leases=leases, **said)

    def _check_reset(self, place: tuple[str, ...], said: dict[str, Any]) -> None:
        if (said.get("reset") == "command") != ("reset_command" in said):
            raise BadConfiguration(
                f'{self._at(place)}: reset = "command" and reset_command of {_dotted(place)} belong together, and '
                "one of them is missing"
            )

    def _address(self, place: tuple[str, ...], text: str, baud: int | None) -> str:
        """The address, its path beside the bench file; BadConfiguration where it names no device that is there."""
        from hil.address import parse  # noqa: PLC0415 - it knows `bench:`, and so this module

        try:
            address = parse(text)
        except BadConfiguration as error:
            raise BadConfiguration(
                f"{self._at(place)}: {_dotted(place)}: {error.message}", advice=error.advice
            ) from error
        if not address.scheme.lives_on or address.scheme.name == "bench":
            raise self._wrong(place, "the address of a device that is there already", text)
        if baud is not None and (address.baud is not None or not address.scheme.takes_baud):
            why = "says its speed itself" if address.scheme.takes_baud else "is no line with a speed"
            raise BadConfiguration(
                f"{self._at(place)}: {_dotted(place[:-1])}.baud is {baud}, and the address {text} {why}",
                advice="leave one of them out",
            )
        if address.scheme.name in _NAME_PATHS:
            return text.replace(address.place, str(self.beside(address.place)), 1)
        return text

    def _checked(self, table: dict[str, Any], keys: dict[str, Key], place: tuple[str, ...]) -> dict[str, Any]:
        for name, value in table.items():
            if name not in keys:
                raise BadConfiguration(
                    f"{self._at((*place, name))}: {_dotted((*place, name))} is no key of a bench file",
                    advice=_nearest(name, keys),
                )
            if not keys[name].accepts(value):
                raise self._wrong((*place, name), keys[name].expected, value)
        return table

    def beside(self, named: str) -> Path:
        """A path of the file: relative to it, `~` for home."""
        try:
            return self._path.parent.absolute() / Path(named).expanduser()
        except RuntimeError as error:
            raise BadConfiguration(f"{self._path}: {named!r} is no path: no such home directory") from error

    def _wrong(self, place: tuple[str, ...], expected: str, came: object) -> BadConfiguration:
        return BadConfiguration(f"{self._at(place)}: {_dotted(place)} must be {expected}, is {_shown(came)}")

    def _at(self, place: tuple[str, ...]) -> str:
        """The file, and the line of the key where it stands plainly in its table."""
        number = _line_of(self._lines, place)
        return str(self._path) if number is None else f"{self._path}, line {number}"


_CONVERTED: Final[dict[str, Callable[[_Reader, Any], object]]] = {
    **dict.fromkeys(("reset_command", "flash", "before", "after"), lambda _reader, text: _words(text)),
    "capabilities": lambda _reader, names: parse_needs(tuple(names)),
    **dict.fromkeys(("key_file", "firmware"), _Reader.beside),
    "profile": lambda reader, text: str(reader.beside(text)) if _is_path(text) else text,
    "memory_id": lambda _reader, digits: int(digits, 16),
}
"""Keys whose values are not kept as the file has them."""


def _is_path(profile: str) -> bool:
    """Whether a profile is named by its file."""
    return "/" in profile or profile.endswith(".toml")


def _line_of(lines: list[str], place: tuple[str, ...]) -> int | None:
    """The line of a table's head or of a key in it; None where it is written in another way."""
    table = ""
    for number, line in enumerate(lines, start=1):
        if head := re.match(r"\s*\[([^\[\]]+)\]", line):
            table = re.sub(r"[\s\"']", "", head[1])
            if f"{table}.".startswith(".".join(place) + "."):
                return number
            continue
        key = re.match(r"\s*[\"']?([\w.-]+)[\"']?\s*=", line)
        if key and ".".join(filter(None, (table, key[1]))) == ".".join(place):
            return number
    return None if len(place) < 2 else _line_of(lines, place[:-1])  # as in an inline table


def _dotted(place: tuple[str, ...]) -> str:
    return ".".join(_one_line(part) for part in place)


def _nearest(name: str, keys: dict[str, Key]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - of errors alone

    near = get_close_matches(name, keys, n=1)
    return f"did you mean {near[0]}?" if near else f"known are {', '.join(keys)}"


def _shown(value: object) -> str:
    """A value as TOML would write it, short and on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return f"{'a table' if isinstance(value, dict) else 'a list'} of {len(value)}"
    return f'"{_one_line(value)}"' if isinstance(value, str) else _one_line(str(value))


def _one_line(text: str) -> str:
    plain = "".join(character if character.isprintable() else "?" for character in text)
    return plain if len(plain) <= SHOWN_CHARACTERS else plain[:SHOWN_CHARACTERS] + "..."


def bench_file_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a bench file, for editors, from the tables above."""
    target = _object(TARGET_KEYS)
    for inner, keys in INNER.items():
        target["properties"][inner] |= _object(keys)
    target["properties"]["instruments"]["additionalProperties"] = {"type": "object"}
    target["required"] = ["address"]
    schema = _object(TOP_KEYS)
    schema["properties"]["targets"] |= {
        "propertyNames": {"pattern": f"^{NAME_PATTERN}$"},
        "additionalProperties": target,
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:pumpbench:bench-file:1",
        "title": f"pumpbench bench file, {NAME}",
        **schema,
    }


def _object(keys: dict[str, Key]) -> dict[str, Any]:
    properties = {name: {"description": key.meaning, **key.schema} for name, key in keys.items()}
    return {"type": "object", "properties": properties, "additionalProperties": False}
