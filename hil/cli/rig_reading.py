"""What a rig is asked for, read from words: what happens to a pump, numbers of faults, and when a fault starts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from hil.cli.quantities import Quantity
from hil.errors import UsageError
from hil.quantity_reading import shown
from hil.rig import Awaited, FaultStart

if TYPE_CHECKING:
    from hil.rig import RigFault

COUNT_MAX: Final = 1_000_000_000
COUNT: Final = Quantity(low=1, high=COUNT_MAX)
MS_PER_S: Final = 1_000
_SPAN: Final = re.compile("([0-9]{1,5}):([0-5][0-9])(?::([0-5][0-9]))?")
_WHOLE: Final = re.compile("-?[0-9]{1,30}")


class Span(click.ParamType[int]):
    """A stretch of a pump's life as H:MM or H:MM:SS, in ms."""

    name = "H:MM[:SS]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Milliseconds."""
        if isinstance(value, int):
            return value
        span_ms = span_ms_of(value)
        if not span_ms:
            self.fail(
                f"{shown(value)} is no time of 0:00:01 to 99999:59:59: write 6:00 for six hours, 0:00:30 for half "
                "a minute",
                param,
                ctx,
            )
        return span_ms


SPAN: Final = Span()


def span_ms_of(text: str) -> int | None:
    """H:MM or H:MM:SS in ms; None where a text is neither."""
    found = _SPAN.fullmatch(text)
    if found is None:
        return None
    hours, minutes, seconds = (int(part or "0") for part in found.groups())
    return ((hours * 60 + minutes) * 60 + seconds) * MS_PER_S


def values_of(fault: RigFault, words: tuple[str, ...]) -> dict[str, int]:
    """The numbers of a fault from `NAME=VALUE`; UsageError where one is none. Ranges are the bench's to check.

    A name ends in its unit and its value is a whole number; of a time the name may leave `_ms` out, and it is H:MM or
    H:MM:SS then.
    """
    known = [parameter.name for parameter in fault.parameters]
    advice = f"`pumpbench rig faults {fault.name}` has units and ranges; a time is NAME_ms=MS or NAME=H:MM"
    values: dict[str, int] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not (equals and name):
            raise UsageError(f"{shown(word)} is no NAME=VALUE", advice=advice)
        span_ms = span_ms_of(text)
        if span_ms is not None and f"{name}_ms" in known:
            name, text = f"{name}_ms", str(span_ms)
        if name not in known:
            takes = ", ".join(known) or "no parameters"
            raise UsageError(f"{fault.name} has no parameter {shown(name)}; it takes {takes}")
        if not _WHOLE.fullmatch(text):
            raise UsageError(
                f"{name} of {fault.name} is {shown(text)}, and a whole number is expected", advice=advice
            )
        if name in values:
            raise UsageError(f"{name} of {fault.name} is given twice", advice="give it once")
        values[name] = int(text)
    return values


class StartWords(NamedTuple):
    """The options that say when a fault starts, by their names; None where one was not given."""

    after: int | None
    at_stroke: int | None
    at_write: int | None
    at_frame: int | None
    at_event: str | None
    at_alarm: str | None
    when: str | None
    count: int | None  # type: ignore[assignment] # hides the method of tuple, which nobody calls on this
    cleared: bool

    def start(self) -> FaultStart | None:
        """When it starts; None: at once. UsageError where two options say it, or one that says nothing of it."""
        given = [name for name in _STARTS if getattr(self, name) is not None]
        if len(given) > 1:
            both = " and ".join(map(_option, given))
            raise UsageError(f"{both} each say when the fault starts", advice="name one of them")
        only = given[0] if given else ""
        if self.count is not None and only not in {"at_event", "at_alarm"}:
            raise UsageError("--count is of --at-event and --at-alarm", advice="name one of them with it")
        if self.cleared and only != "at_alarm":
            raise UsageError("--cleared is of --at-alarm", advice="name the alarm with it")
        return self._start(only) if only else None

    def _start(self, only: str) -> FaultStart:
        at, value = _STARTS[only], getattr(self, only)
        count = 1 if self.count is None else self.count
        match at:
            case "time":
                return FaultStart(at, after_ms=value)
            case "event" | "alarm":
                return FaultStart(at, name=value, count=count, cleared=self.cleared)
            case "":
                side, *words = value.split() or [""]
                if side not in {"truth", "belief"}:
                    raise UsageError(
                        f"--when begins with {shown(side)}, and truth or belief is expected",
                        advice="write --when 'truth FIELD OPERATOR VALUE', as run-until takes them",
                    )
                return FaultStart(side, **said_of(side, words, f"--when '{side} FIELD >= VALUE'"))
        return FaultStart(at, count=value)


_STARTS: Final = {
    "after": "time",
    "at_stroke": "stroke",
    "at_write": "write",
    "at_frame": "frame",
    "at_event": "event",
    "at_alarm": "alarm",
    "when": "",
}
"""What a fault waits for, by the option that says so; of `when` its first word does."""


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def said_of(what: str, words: list[str], example: str) -> Awaited:
    """What the words say of an event, an alarm or a comparison; UsageError where they are too many or too few.

    `example` is how a comparison is written where these words stand.
    """
    if what in {"event", "alarm"}:
        if len(words) > 1:
            raise UsageError(
                f"{what} takes one name, and {len(words)} were given", advice="name one, or none"
            )
        return Awaited(name=words[0]) if words else Awaited()
    if len(words) != 3:
        raise UsageError(
            f"{what} takes FIELD OPERATOR VALUE, and {len(words)} words were given",
            advice=f"quote them for the shell: {example}",
        )
    field, operator, text = words
    constants: dict[str, bool | None] = {"true": True, "false": False, "none": None, "null": None}
    if text.lower() in constants:
        return Awaited(field=field, operator=operator, value=constants[text.lower()])
    value = int(text) if _WHOLE.fullmatch(text) else text
    return Awaited(field=field, operator=operator, value=value)


def value_text(value: object) -> str:
    """A value as it is written on the command line."""
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)
