"""Events in words, for people to read, of any kind. Made where they are shown; never stored, hashed or parsed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from firmware_emu.events import fields_of, kind_of

if TYPE_CHECKING:
    from firmware_emu.events import Event, Plain, TraceEntry


class ShownEvent(NamedTuple):
    """An entry of the trace as rig control shows it. Times in ms; `text` is for people."""

    kind: str
    now_ms: int
    line_ms: int
    fields: dict[str, Plain]
    text: str


def shown(entry: TraceEntry) -> ShownEvent:
    """An entry in numbers, texts and hex, and in words."""
    now, event = entry
    return ShownEvent(kind_of(event), now.pump_ms, now.line_ms, fields_of(event), words_of(event))


def words_of(event: Event) -> str:
    """The kind of an event, and its fields with their values."""
    said = _listed(fields_of(event))
    return f"{kind_of(event)}: {said}" if said else kind_of(event)


def _listed(fields: dict[str, Plain]) -> str:
    return ", ".join(_said(name, value) for name, value in fields.items() if value not in (None, {}, []))


def _said(name: str, value: Plain) -> str:
    if isinstance(value, dict):
        return _listed(value)
    if isinstance(value, list):
        return f"{name} {'; '.join(_said('', each).strip() for each in value)}"
    return f"{name} {value}"
