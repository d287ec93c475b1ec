"""`pumpbench diff`: where two recordings are not the same, message by message and field by field."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from hil.cli.connection import tell_error
from hil.cli.documents import json_text
from hil.cli.output import say, tell_lines
from hil.cli.reading_progress import shown_reading
from hil.cli.recording_options import KEY
from hil.comparison.differences import Comparison, How, message_name
from hil.comparison.rules import Rules
from hil.comparison.rules_file import read_rules
from hil.comparison.side import Side
from hil.comparison.summary import Summary, summed_up
from hil.errors import BadConfiguration, NotTheSame
from hil.frame_words import fields_text, frame_text, text_at, value_text
from hil.key_file import read_keys
from hil.quantity_words import are, counted
from protocol.codec.field_words import bare_name_and_unit
from protocol.wire.frame import Frame

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.capture.messages import RecordedMessage
    from hil.comparison.differences import Difference
    from hil.comparison.judging import Applied
    from hil.comparison.summary import OfField

WORDS: Final = {
    How.FIELD: "differs",
    How.MISSING: "is only in the first",
    How.EXTRA: "is only in the second",
    How.SEALED: "is sealed, and no key opens it: not compared",
}
VALUE_WIDTH: Final = 40


@click.command()
@click.argument("first", metavar="FIRST", type=click.Path(path_type=Path))
@click.argument("second", metavar="SECOND", type=click.Path(path_type=Path))
@click.option(
    "--rules",
    "rules_path",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Rules of your own, in TOML; `pumpbench hil adopt --learn` proposes some.",
)
@KEY
@click.option("--json", "as_json", is_flag=True, help="JSON: one object.")
def diff(first: Path, second: Path, rules_path: Path | None, key_path: Path | None, as_json: bool) -> None:
    """Compare two recordings by what was said: the first difference, then each field that differs.

    A message too many is one insertion; what is other each time, as nonces and ids, is compared by rules.
    Marks of a bench and times of the recording are not compared. Ends with 15 where they are not the same,
    and with 10 where a file is damaged.
    """
    try:
        rules = Rules() if rules_path is None else read_rules(rules_path)
        keys = [] if key_path is None else read_keys(key_path)
        comparison = Comparison(rules)
        with shown_reading(first) as seen, shown_reading(second) as seen_too:
            sides = [Side(first, keys, seen), Side(second, keys, seen_too)]
            summary = summed_up(comparison.differences(*sides))
        _check_there_is_something(sides)
    except BadConfiguration as error:
        if as_json:
            tell_error(error)
        raise
    tell_lines([_json(sides, comparison, summary)] if as_json else _text(sides, comparison, summary))
    _end(sides, summary, comparison)


def _check_there_is_something(sides: list[Side]) -> None:
    """BadConfiguration where nothing was said in either file: nobody shall hear that they are the same."""
    if not any(side.count for side in sides):
        raise BadConfiguration(
            f"there is nothing to compare: no message can be read in {sides[0].path} or {sides[1].path}"
        )


def _end(sides: list[Side], summary: Summary, comparison: Comparison) -> None:
    """Say what could not be compared, and raise where the two are not the same."""
    for override in comparison.judge.unused():
        say(f"the rule for {override.place} never applied: no such field was compared")
    for side in sides:
        if side.sealed:
            frames = f"{counted(side.sealed, 'frame')} of {side.path} {are(side.sealed)} sealed"
            say(f"{frames}, and the same as nothing: give the key by --key")
    differs = "no difference" if not summary.count else counted(summary.count, "difference")
    damaged = [side for side in sides if side.damage]
    if damaged:
        names = " and ".join(str(side.path) for side in damaged)
        raise BadConfiguration(f"{names} is damaged; what could be read has {differs}")
    if summary.first is not None:
        raise NotTheSame(
            f"{sides[0].path} and {sides[1].path} have {differs}, the first in {summary.first.place} "
            f"({_numbers(summary.first)})"
        )


# --- as lines for people --------------------------------------------------------------------------------------------


def _text(sides: list[Side], comparison: Comparison, summary: Summary) -> Iterator[str]:
    for side in sides:
        yield from (f"!!! {side.path}: {what}" for what in side.damage)
    if summary.first is not None:
        yield from _first(summary.first)
        yield ""
        for of_field in summary.by_field.values():
            yield from _of_field(of_field)
        yield ""
    hidden = [each for each in comparison.judge.applied if each.hid]
    if hidden:
        yield "ignored, and by which rule:"
        yield from map(_hidden, hidden)
    for override in comparison.judge.unused():
        yield f"never applied: {override.rule} for {override.place} ({override.reason})"
    what = "the same" if not summary.count else counted(summary.count, "difference")
    yield f"{counted(comparison.pairs, 'message')} compared: {what}"


def _first(difference: Difference) -> Iterator[str]:
    """The first difference: both messages in a line each, then their fields side by side."""
    yield f"first difference: {difference.place} {WORDS[difference.how]}"
    for name, entry in (("first", difference.first), ("second", difference.second)):
        yield f"  {name + ':':<8} {'-' if entry is None else _line(entry)}"
    if difference.how is not How.FIELD:
        return
    was, now = _flat(difference.first), _flat(difference.second)
    own = difference.place.partition(".")[2]
    names = list(dict.fromkeys([*was, *now])) or [own]
    width = max(map(len, names))
    for name in names:
        shown = (was.get(name, "-"), now.get(name, "-"))
        is_it = name == own or own.startswith((f"{name}.", f"{name}["))
        yield f"{'!' if is_it else ' '} {name:<{width}}  {_cut(shown[0]):<{VALUE_WIDTH}}  {_cut(shown[1])}".rstrip()


def _flat(entry: RecordedMessage | None) -> dict[str, str]:
    """The fields of a message in words, by path; those of what could not be read are none."""
    return {} if entry is None or entry.message is None else dict(_flattened(entry.message, ""))


def _flattened(message: Any, prefix: str) -> Iterator[tuple[str, str]]:
    for name, value in zip(message._fields, message, strict=True):
        path = prefix + name
        if hasattr(value, "_fields"):
            yield from _flattened(value, f"{path}.")
        elif isinstance(value, tuple) and value and hasattr(value[0], "_fields"):
            for number, row in enumerate(value):
                yield from _flattened(row, f"{path}[{number}].")
        else:
            yield path, in_unit(f"{type(message).__name__}.{name}", value)


def in_unit(place: str, value: Any) -> str:
    """A value in words, with the unit that the name of its field has."""
    unit = bare_name_and_unit(place.rpartition(".")[2])[1]
    return f"{text_at(place, value)} {unit}" if unit and type(value) is int else text_at(place, value)


def _cut(text: str) -> str:
    return text if len(text) <= VALUE_WIDTH else f"{text[: VALUE_WIDTH - 3]}..."


def _line(entry: RecordedMessage) -> str:
    since = "" if entry.since_ns is None else f" at {entry.since_ns / 1e9:.6f} s"
    if not isinstance(entry.frame, Frame):
        return f"packet {entry.number}{since}: {entry.trouble}: {entry.passed.data.hex(' ')}"
    return f"packet {entry.number}{since}: {frame_text(entry.frame, entry.payload)}"


def _of_field(of_field: OfField) -> Iterator[str]:
    yield f"{of_field.place} {WORDS[of_field.how]}, {counted(of_field.count, 'time')}"
    for each in of_field.shown:
        if of_field.how is How.FIELD:
            was, now = (_cut(in_unit(each.place, value)) for value in (each.was, each.now))
            yield f"  {_numbers(each)}: {was} | {now}"
        else:
            entry = each.first or each.second
            fields = "" if entry is None or not entry.message else _cut(fields_text(entry.message))
            yield f"  {_numbers(each)}: {fields}".removesuffix(": ")
    if of_field.more:
        yield f"  and {of_field.more} more"


def _numbers(difference: Difference) -> str:
    """The packets in which it is."""
    numbers = ["-" if each is None else str(each.number) for each in (difference.first, difference.second)]
    return f"packet {' | '.join(numbers)}"


def _hidden(applied: Applied) -> str:
    return f"  {applied.place}: {applied.rule}, {applied.hid} of {applied.judged} ({applied.source})"


# --- as JSON --------------------------------------------------------------------------------------------------------


def _json(sides: list[Side], comparison: Comparison, summary: Summary) -> str:
    return json_text(
        "diff",
        {
            "same": not summary.count and not any(side.damage for side in sides),
            "compared": comparison.pairs,
            "differences": summary.count,
            "first": None if summary.first is None else _difference(summary.first),
            "fields": [
                {
                    "how": each.how.value,
                    "place": each.place,
                    "count": each.count,
                    "shown": [_difference(one) for one in each.shown],
                    "more": each.more,
                }
                for each in summary.by_field.values()
            ],
            "ignored": [
                {
                    "place": each.place,
                    "rule": str(each.rule),
                    "reason": each.source,
                    "hid": each.hid,
                    "judged": each.judged,
                }
                for each in comparison.judge.applied
                if each.hid
            ],
            "never_applied": [each.place for each in comparison.judge.unused()],
            "sealed": [side.sealed for side in sides],
            "damage": [f"{side.path}: {what}" for side in sides for what in side.damage],
        },
    )


def _difference(difference: Difference) -> dict[str, Any]:
    first, second = difference.first, difference.second
    is_field = difference.how is How.FIELD
    return {
        "how": difference.how.value,
        "place": difference.place,
        "first_number": None if first is None else first.number,
        "second_number": None if second is None else second.number,
        "first_message": None if first is None else message_name(first),
        "second_message": None if second is None else message_name(second),
        "first_value": value_text(difference.was) if is_field else None,
        "second_value": value_text(difference.now) if is_field else None,
    }
