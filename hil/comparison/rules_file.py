"""Reads a file of rules: TOML, a table `[[rule]]` each. What cannot be meant is refused in one sentence [README.md]."""

from __future__ import annotations

import difflib
import tomllib
import typing
from typing import TYPE_CHECKING, Any, Final, NoReturn

from hil.comparison.rules import BAD_FRAME, Override, Rules, declared_at
from hil.errors import BadConfiguration
from hil.known_commands import all_commands
from protocol.codec.layouts import declared_classes
from protocol.codec.sameness import Rule, Sameness

if TYPE_CHECKING:
    from pathlib import Path

LONGEST_FILE: Final = 1_000_000  # bytes
KEYS: Final = ("message", "field", "rule", "tolerance", "reason")
_OF_NUMBERS: Final = {Sameness.DELTA, Sameness.MONOTONIC}
_NUMBERS: Final = (int, int | None, typing.Optional[int])  # noqa: UP045 - another value than int | None


def read_rules(path: Path) -> Rules:
    """The rules of a file; BadConfiguration says what is wrong with it, and in which rule."""
    return rules_of(read_text(path, LONGEST_FILE), str(path))


def read_text(path: Path, longest_bytes: int) -> str:
    """A file of text; BadConfiguration where it cannot be read, is too long, or no text."""
    try:
        with path.open("rb") as file:
            content = file.read(longest_bytes + 1)
        if len(content) > longest_bytes:
            raise BadConfiguration(
                f"{path} has more than {longest_bytes} bytes, and TOML of ours is expected"
            )
        return content.decode()
    except UnicodeDecodeError as error:
        raise BadConfiguration(f"{path} is not UTF-8 text, and TOML is expected") from error
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise BadConfiguration(f"{path} cannot be read ({why})", advice="look at its name") from error


def toml_of(text: str, name: str) -> dict[str, Any]:
    """What a TOML text holds; `name` is what its error calls it."""
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise BadConfiguration(f"{name} is not TOML: {error or 'it is nested too deep'}") from error


def rules_of(text: str, name: str) -> Rules:
    """The rules of a TOML text; `name` is what its errors call it."""
    document = toml_of(text, name)
    tables = document.pop("rule", [])
    if document:
        raise BadConfiguration(f"{name} has {next(iter(document))!r}, and only tables [[rule]] are expected")
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise BadConfiguration(f"{name}: rule is no list of tables", advice="begin each rule with [[rule]]")
    found: dict[tuple[str, str], Override] = {}
    for number, table in enumerate(tables, 1):
        override = _Table(f"{name}: rule {number}", table).override()
        key = (override.message, override.field_path)
        if key in found:
            raise BadConfiguration(f"{name}: rule {number} is a second one for {override.place}")
        found[key] = override
    return Rules(found)


class _Table:
    """One rule that is read; its place stands in each refusal."""

    def __init__(self, place: str, table: dict[str, Any]) -> None:
        self._place = place
        self._table = table

    def _refuse(self, what: str, advice: str = "") -> NoReturn:
        raise BadConfiguration(f"{self._place} {what}", advice=advice)

    def override(self) -> Override:
        for key in self._table:
            if key not in KEYS:
                self._refuse(f"has {key!r}", advice=f"its keys are {', '.join(KEYS)}")
        message, field_path = self._text("message"), self._text("field")
        sameness = self._sameness()
        self._check_place(message, field_path, sameness)
        reason = self._text("reason")
        return Override(message, field_path, Rule(sameness, self._tolerance(sameness)), reason)

    def _text(self, key: str) -> str:
        value = self._table.get(key)
        if not isinstance(value, str) or not value.strip():
            given = "no" if value is None else "an empty" if value == "" else f"{value!r} as its"
            self._refuse(
                f"has {given} {key}", advice="say why the values may differ" if key == "reason" else ""
            )
        return value.strip()

    def _sameness(self) -> Sameness:
        value = self._text("rule")
        if value not in list(Sameness):
            self._refuse(f"is {value!r}", advice=f"rules are {', '.join(Sameness)}")
        return Sameness(value)

    def _tolerance(self, sameness: Sameness) -> int:
        value = self._table.get("tolerance")
        if (value is not None) is not (sameness is Sameness.DELTA):
            self._refuse("has no tolerance" if value is None else f"is {sameness}, which has no tolerance")
        if value is None:
            return 0
        if type(value) is not int or value < 1:
            self._refuse(
                f"has {value!r} as its tolerance", advice="give a whole number from 1, in the field's unit"
            )
        return value

    def _check_place(self, message: str, field_path: str, sameness: Sameness) -> None:
        if message == BAD_FRAME:
            if field_path != "data" or sameness not in (Sameness.EXACT, Sameness.VOLATILE):
                self._refuse(f"is for {BAD_FRAME}, whose one field is data, exact or volatile")
            return
        if message not in _message_names():
            all_commands()  # registers the messages of installed packages
        try:
            found = declared_at(message, field_path)
        except KeyError:
            names = sorted(_message_names() | {BAD_FRAME})
            self._refuse(f"is for {message!r}, and there is no such message", advice=_nearest(message, names))
        if not found:
            classes = [cls for cls in declared_classes() if cls.__name__ == message]
            fields = [name for cls in classes for name in getattr(cls, "_fields", ())]
            self._refuse(
                f"is for {field_path!r}, which {message} does not have", advice=_nearest(field_path, fields)
            )
        if sameness in _OF_NUMBERS:
            for owner, each in found:
                if typing.get_type_hints(owner)[each.name] not in _NUMBERS:
                    self._refuse(f"is {sameness}, and {message}.{field_path} is no number")


def _message_names() -> set[str]:
    return {cls.__name__ for cls in declared_classes()}


def _nearest(word: str, known: list[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1)
    return (
        f"did you mean {near[0]}?"
        if near
        else f"there are {', '.join(known)}"
        if known
        else "it has no fields"
    )
