"""Faults of a pump in words: how each stands, what it waits for, and which numbers it takes, as its rig tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hil.cli.rig_reading import value_text
from hil.cli.rig_words import clock_words, value_words
from hil.cli.tables import columns
from hil.quantity_words import duration_of_ms
from protocol.codec.field_words import bare_name_and_unit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hil.cli.tables import Rows
    from hil.rig import FaultOrder, FaultParameter, RigFault

ANY_MORE: Final = 1 << 48
"""A highest number from which on there is none in practice."""


def fault_lines(faults: Iterable[RigFault]) -> list[str]:
    """A table: name, where it acts, whether it is so, how often it took effect, what is to come."""
    rows = [("FAULT", "WHERE", "ON", "EFFECTS", "TO COME")]
    rows += [
        (
            fault.name,
            fault.where,
            "on" if fault.on else "-",
            str(fault.effects),
            order_words(fault.order) if fault.order else "",
        )
        for fault in faults
    ]
    return columns(rows)


def fault_rows(fault: RigFault) -> Rows:
    """All of one fault, a row for each number that it takes."""
    return [
        ("fault", fault.name),
        ("acts on", fault.where),
        ("what it is", fault.summary),
        ("pump sees", fault.seen_as),
        ("on", "yes" if fault.on else "no"),
        ("effects", str(fault.effects) if fault.effects else "none so far"),
        ("to come", order_words(fault.order) if fault.order else "nothing"),
        *[(parameter.name, parameter_words(parameter)) for parameter in fault.parameters],
    ]


def parameter_words(parameter: FaultParameter) -> str:
    """The range and unit of a number, and what holds where it is left out."""
    name, lowest, highest = parameter.name, parameter.lowest, parameter.highest
    if highest >= ANY_MORE:
        numbers = "any whole number" if lowest <= -ANY_MORE else f"{lowest} or more"
    else:
        numbers = f"{lowest} to {highest}"
    unit = bare_name_and_unit(name)[1]
    if parameter.required:
        left_out = "must be given"
    elif parameter.default is None:
        left_out = f"left out: {parameter.meaning}"
    else:
        read = value_words(name, parameter.default)
        left_out = f"left out: {parameter.default}" + (f" ({read})" if read != str(parameter.default) else "")
        left_out += f"; {parameter.meaning}" if parameter.meaning else ""
    return f"{numbers}, in {unit}; {left_out}" if unit else f"{numbers}; {left_out}"


def standing_words(fault: RigFault) -> str:
    """Whether a fault is so, and what is to come of it: `is on, ends at 0 d 02:00:00.000`."""
    on = "is on" if fault.on else "is not on yet" if fault.order else "was caused, and is over"
    return f"{on}, {order_words(fault.order)}" if fault.order else on


def cleared_words(before: RigFault, after: RigFault) -> str:
    """What became of a fault that was cleared."""
    if after.on:
        return "cannot be ended, and is still on"
    if before.on:
        return (
            f"is over; its effects so far: {after.effects}" if after.effects else "is over; it had no effect"
        )
    return "was called off before it came" if before.order else "was neither on nor to come"


def order_words(order: FaultOrder) -> str:
    """What is to come of a fault: what it waits for, how long it lasts, how often it comes after that."""
    parts = [] if order.ends_at_ms is None else [f"ends at {clock_words(order.ends_at_ms)}"]
    if order.begun < order.times:
        again = " again" if order.begun else ""
        lasting = "" if order.for_ms is None else f" for {duration_of_ms(order.for_ms)}"
        parts.append(f"starts{again} {_start_words(order)}{lasting}")
    more = order.times - order.begun - 1
    if more > 0:
        apart = "" if order.every_ms is None else f", {duration_of_ms(order.every_ms)} apart"
        parts.append(f"then {more} more{apart}")
    return "; ".join(parts)


def _start_words(order: FaultOrder) -> str:
    start = order.start
    if order.starts_at_ms is not None:
        return f"at {clock_words(order.starts_at_ms)}"
    match start.at:
        case "stroke":
            return f"behind stroke {order.left} from now"
        case "write":
            return f"behind write {order.left} to the memory from now"
        case "frame":
            return f"as frame {order.left} from now has come"
        case "truth" | "belief":
            return f"when {start.at} {start.field} {start.operator} {value_text(start.value)}"
    ends = " ends" if start.cleared else ""
    nth = "" if order.left == 1 else f" ({order.left} to go)"
    return f"when {start.at} {start.name or 'any'}{ends}{nth}".replace("when event", "at event")
