"""What a rig tells, in words for people: truth beside belief, events a line each, values with their units."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from hil.cli.tables import alarm_names, columns
from hil.quantity_words import decimal_text, duration_of_ms, mcg, mcg_per_day, mcg_per_ml, ml, ml_per_day
from hil.rig import LostEvents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from hil.cli.tables import Rows
    from hil.rig import RigEvent, RigProfile, RigState

PLACES_OF_NL_PPM: Final = 12
"""Of a volume in nL x 10^-6, as mL."""
PLACES_OF_FG_PPM: Final = 15
"""Of drug in fg x 10^-6, as mcg."""
LINE_MAX = 160  # characters of an event; its bytes may be many
NOISY: Final = frozenset({"MemoryChanged", "FrameReceived", "FrameSent"})
"""Kinds of events that are most of a trace, and that few look for."""
_UNITS: Final[tuple[tuple[str, Callable[[int], str]], ...]] = (
    ("_nl_per_day", ml_per_day),
    ("_ng_per_day", mcg_per_day),
    ("_ng_per_ml", mcg_per_ml),
    ("_nl_ppm", lambda value: f"{decimal_text(value, PLACES_OF_NL_PPM)} mL"),
    ("_fg_ppm", lambda value: f"{decimal_text(value, PLACES_OF_FG_PPM)} mcg"),
    ("_nl", ml),
    ("_ng", mcg),
    ("_ppm", lambda value: f"{decimal_text(value, 4)} %"),
    ("_percent", lambda value: f"{value} %"),
    ("_mv", lambda value: f"{value} mV"),
    ("_mah", lambda value: f"{value} mAh"),
    ("_ms", duration_of_ms),
    ("_s", lambda value: duration_of_ms(1_000 * value)),
    ("_minutes", lambda value: f"{value} min"),
    ("_millicelsius", lambda value: f"{decimal_text(value, 3)} °C"),
    ("_pa", lambda value: f"{decimal_text(value, 3)} kPa"),
)
"""Endings of names and how their values read; the longer ones first."""
_OF: Final = {"_fg_ppm": "drug", "_ng_per_ml": "concentration", "_mv": "voltage"}
"""What is measured in a unit, for fields of one name in several."""
_BESIDE: Final = (
    ("time", "now_ms", "tick_ms"),
    ("reservoir", "true_nl_ppm", "reservoir_calc_nl"),
    ("delivered", "emitted_nl_ppm", "delivered_total_nl"),
    ("strokes", "strokes_turned", "strokes_commanded"),
    ("edges", "edges", "strokes_seen"),
)
"""What is so and what the pump believes of it: a label, a field of the truth, a field of the belief."""
_ALARM_BITS: Final = frozenset({"alarm_active", "alarm_latched"})


def field_words(name: str) -> str:
    """The name of a field without its unit, with what is measured where the unit alone says it."""
    suffix = next((suffix for suffix, _ in _UNITS if name.endswith(suffix)), "")
    words, of = name.removesuffix(suffix).replace("_", " "), _OF.get(suffix, "")
    return words if not of or of in words else f"{of}, {words}"


def value_words(name: str, value: Any) -> str:
    """The value of a field with its unit; "-" for what is not there."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name in _ALARM_BITS:
        return alarm_names(value)
    if type(value) is int:
        words = next((words for suffix, words in _UNITS if name.endswith(suffix)), str)
        return words(value)
    if isinstance(value, list | tuple):
        return ", ".join(" ".join(each) for each in value) or "none"
    return str(value)


def fields_rows(fields: Mapping[str, Any]) -> Rows:
    """A row for each field."""
    return [(field_words(name), value_words(name, value)) for name, value in fields.items()]


def state_lines(state: RigState) -> list[str]:
    """Truth and belief in two columns, what both know in one row; of a pump without power "-" in the second."""
    truth, belief = state.truth, state.belief or {}
    rows = [("", "so it is", "so the pump believes" if state.belief is not None else "no power: no belief")]
    for label, true, believed in _BESIDE:
        rows.append((label, value_words(true, truth.get(true)), value_words(believed, belief.get(believed))))
    shared = {name for _, *names in _BESIDE for name in names}
    rows += [
        (field_words(name), value_words(name, value), "")
        for name, value in truth.items()
        if name not in shared
    ]
    rows += [
        (field_words(name), "", value_words(name, value))
        for name, value in belief.items()
        if name not in shared
    ]
    return columns(rows)


def sample_line(state: RigState, faults_on: Sequence[str]) -> str:
    """Reservoir and delivery, true and believed, in a line, with the faults that are on."""
    truth, belief = state.truth, state.belief or {}
    words = [
        f"{label} {value_words(true, truth.get(true))}, believed {value_words(believed, belief.get(believed))}"
        for label, true, believed in _BESIDE
        if label in {"reservoir", "delivered"}
    ]
    return "; ".join([f"{clock_words(state.now_ms)}  {words[0]}", *words[1:], *faults_on])


def profile_rows(profile: RigProfile) -> Rows:
    """What a pump was made from, a row a value, and what has been changed of it."""
    rows = [("profile", profile.name), *fields_rows(profile.model)]
    rows += fields_rows(profile.implant or {}) or [("implant", "none: as it left the factory")]
    rows += [(name.replace("_", " "), text) for name, text in profile.texts.items() if text]
    rows.append(("vendor messages", ", ".join(profile.vendor_messages) or "none"))
    if profile.configured is None:
        return [*rows, ("configured", "not known without power")]
    changed = [
        (f"configured {field_words(name.lower())}", value_words(name.lower(), value))
        for name, value in profile.configured.items()
    ]
    return rows + (changed or [("configured", "nothing")])


def event_line(event: RigEvent | LostEvents) -> str:
    """An event with its pump time, or how many there were in its place."""
    if isinstance(event, LostEvents):
        return f"... {event.lost} events are lost: they came faster than they were read"
    line = f"{clock_words(event.now_ms)}  {event.text}"
    return line if len(line) <= LINE_MAX else f"{line[: LINE_MAX - 3]}..."


def clock_words(now_ms: int) -> str:
    """Pump time to the millisecond: `12 d 03:04:05.678`."""
    seconds, ms = divmod(now_ms, 1_000)
    days, seconds = divmod(seconds, 86_400)
    return f"{days} d {seconds // 3_600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{ms:03}"


def chosen(
    events: Iterable[RigEvent | LostEvents], kinds: tuple[str, ...], *, noisy: bool
) -> Iterable[RigEvent | LostEvents]:
    """Events of the kinds that are asked for, or all but the noisy ones; what is lost stays."""
    for event in events:
        if isinstance(event, LostEvents) or (
            event.kind in kinds if kinds else noisy or event.kind not in NOISY
        ):
            yield event
