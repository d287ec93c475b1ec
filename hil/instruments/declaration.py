"""The kinds of instrument, a row each: which settings one takes, what it brings to a rig, and how exact it is.

An installed package adds one by an entry point of the group `pumpbench.instruments`, whose value is an
`InstrumentKind`; a program adds one by `register_kind`.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from hil.errors import BadConfiguration
from hil.extensions import installed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from hil.capabilities import TargetCapability
    from hil.channel import Channel

ENTRY_POINT_GROUP: Final = "pumpbench.instruments"
KIND: Final = "kind"
_NAME: Final = re.compile(r"[a-z][a-z0-9-]*")


class BenchAccess(NamedTuple):
    """What an instrument reaches the lab by. All of it is handed in: an instrument opens and starts nothing itself."""

    run_command: Callable[[tuple[str, ...], str], None]
    """Run words without a shell; the second argument says what they are, for errors."""
    open_line: Callable[[str, int], Channel]
    """Open a port by address (a device path, `socket://HOST:PORT`) and baud."""
    fetch: Callable[[str], None]
    """Ask an HTTP address, and BenchLost where it does not say that it did so."""
    ask: Callable[[str], bool] | None
    """Ask a person and wait for yes or no; None where nobody sits at a terminal."""
    wait_ms: Callable[[int], object]
    """Let the wall's time pass."""
    find_program: Callable[[tuple[str, ...], str], None]
    """See that words could be run, and run nothing; BadConfiguration where there is no such program."""
    knock: Callable[[str, int], None]
    """See that an HTTP address takes connections within so many ms, and ask it nothing; BenchLost where it does not."""


class Instrument(Protocol):
    """What every instrument has, whatever it brings.

    One that can be looked at without any effect on the pump has `check(limit_ms: int) -> str` as well: a preflight
    calls it before the first test, and shows what it returns, or the PumpbenchError that it raises.
    """

    exactness: str
    """How exact it is, with its unit, for people: `0.1 mg`, `50 ms`."""

    def close(self) -> None:
        """Give back what it has open. Closing twice is fine."""
        ...


class Part(NamedTuple):
    """One part of a bench that may be looked at before a run."""

    name: str
    look: Callable[[int], str] | None
    """Given how long it may take, in ms: what was found, in words; any PumpbenchError says what is wrong.

    None where its kind cannot be looked at.
    """


class SettingForm(NamedTuple):
    """One form that a setting may have."""

    expected: str
    read: Callable[[object], Any]
    """The value as the instrument takes it; ValueError where it has another form."""


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError
    return value


def _words(value: object) -> tuple[str, ...]:
    words = tuple(shlex.split(_text(value)))
    if not words:
        raise ValueError
    return words


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError
    return value


def _above_zero(value: object) -> int:
    number = _whole(value)
    if not number:
        raise ValueError
    return number


def _web_address(value: object) -> str:
    text = _text(value)
    if not re.fullmatch(r"https?://[^/\s]+\S*", text):
        raise ValueError
    return text


TEXT: Final = SettingForm("a text", _text)
COMMAND: Final = SettingForm("a command in one text, which is run without a shell", _words)
WHOLE: Final = SettingForm("a whole number from 0 on", _whole)
ABOVE_ZERO: Final = SettingForm("a whole number from 1 on", _above_zero)
WEB_ADDRESS: Final = SettingForm("an address that begins with http:// or https://", _web_address)


class Setting(NamedTuple):
    """One key of an instrument's table in the bench file. Its unit is the last part of its name."""

    name: str
    form: SettingForm
    meaning: str
    default: Any = None
    required: bool = False


class InstrumentKind(NamedTuple):
    """One kind of instrument."""

    name: str
    """What `kind` says in the bench file: a small letter, then small letters, digits and `-`."""
    meaning: str
    brings: frozenset[TargetCapability]
    """What a rig can do by it."""
    settings: tuple[Setting, ...]
    make: Callable[[Mapping[str, Any], BenchAccess], Instrument]
    """The instrument of settings that were checked, every name there. Opens nothing yet."""


KINDS: Final[dict[str, InstrumentKind]] = {}


def register_kind(kind: InstrumentKind) -> None:
    """Add a kind of instrument. ValueError where there is one of that name, or where it is no name."""
    if not _NAME.fullmatch(kind.name):
        raise ValueError(f"{kind.name!r} is no name of a kind of instrument")
    if kind.name in KINDS:
        raise ValueError(f"the kind of instrument {kind.name} is there already")
    KINDS[kind.name] = kind


def kind_named(name: str) -> InstrumentKind | None:
    """The kind of that name, also one of an installed package; None where there is none.

    BadConfiguration where the package that brings it cannot be used.
    """
    if name not in KINDS and _NAME.fullmatch(name):
        found = installed(ENTRY_POINT_GROUP, name, InstrumentKind, "instrument")
        if found is not None:
            register_kind(found)
    return KINDS.get(name)


class DeclaredInstrument(NamedTuple):
    """An instrument of the bench file, its settings read and not made yet."""

    name: str
    kind: InstrumentKind
    settings: Mapping[str, Any]


def declared(place: Path | str, name: str, table: Mapping[str, object]) -> DeclaredInstrument:
    """Read one instrument's table. `place` is what is blamed: the bench file.

    Without `kind` the table's own name is its kind. BadConfiguration names the key, what was expected and what came.
    """
    said = table.get(KIND, name)
    kind = kind_named(said) if isinstance(said, str) else None
    if kind is None:
        raise BadConfiguration(
            f"{place}: instrument {name}: there is no kind {said!r}",
            advice=f"write {KIND} = one of {', '.join(sorted(KINDS))}",
        )
    known = {each.name: each for each in kind.settings}
    for key in table:
        if key != KIND and key not in known:
            raise BadConfiguration(
                f"{place}: instrument {name}: a {kind.name} takes no {key}",
                advice=f"it takes {', '.join(known) or 'nothing'}",
            )
    return DeclaredInstrument(
        name, kind, {each.name: _read(place, name, each, table) for each in known.values()}
    )


def _read(place: Path | str, name: str, setting: Setting, table: Mapping[str, object]) -> Any:
    if setting.name not in table:
        if setting.required:
            raise BadConfiguration(
                f"{place}: instrument {name} has no {setting.name}: {setting.form.expected} is expected",
                advice=f"{setting.name} is {setting.meaning}",
            )
        return setting.default
    try:
        return setting.form.read(table[setting.name])
    except ValueError as error:
        raise BadConfiguration(
            f"{place}: instrument {name}: {setting.name} is {table[setting.name]!r}, "
            f"and {setting.form.expected} is expected",
            advice=f"{setting.name} is {setting.meaning}",
        ) from error
