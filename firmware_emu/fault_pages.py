"""What `pumpbench faults` prints: the seventy numbered faults and those of the catalogue, as text and as values.

It knows no pump. How a fault stands in one, and what it takes there, `pumpbench rig faults` asks of that pump's rig,
which may be another version or no emulator at all: so it has a page of its own (`hil/cli/rig_fault_words`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from firmware_emu.faults.catalogue import FAULTS, fault_named
from firmware_emu.faults.numbered import NUMBERED, beyond_the_numbered
from protocol.codec.field_words import bare_name_and_unit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from firmware_emu.faults.fault import Fault, Parameter
    from firmware_emu.faults.numbered import NumberedFault

HEAD = ("FI", "where", "what goes wrong", "caused by", "the firmware sees")


def overview() -> str:
    """A line for each numbered fault, and one for each of the catalogue that has no number."""
    rows = [
        (
            str(row.number),
            str(row.where),
            row.summary,
            ", ".join(row.caused_by) or "not modelled",
            row.seen_as,
        )
        for row in NUMBERED
    ]
    rows += [
        ("-", FAULTS[name].where.value, _sentence(FAULTS[name].summary), name, FAULTS[name].seen_as)
        for name in beyond_the_numbered()
    ]
    return "\n".join(_columns([HEAD, *rows]))


def page(which: str) -> str:
    """All that is known of one fault, by its number or its name; ValueError where there is none."""
    number = int(which) if which.isascii() and which.isdigit() else None
    if number is None:
        numbered = [row for row in NUMBERED if which in row.caused_by]
        return "\n".join(
            [*_of_fault(fault_named(which)), *(line for row in numbered for line in _of_number(row))]
        )
    rows = [row for row in NUMBERED if row.number == number]
    if not rows:
        raise ValueError(f"there is no fault {number}; they are numbered from 1 to {len(NUMBERED)}")
    caused = [FAULTS[name] for name in rows[0].caused_by if name in FAULTS]
    return "\n".join([*_of_number(rows[0]), *(line for fault in caused for line in _of_fault(fault))])


def as_values() -> dict[str, Any]:
    """The same as JSON has it: the numbered ones, and the catalogue with its parameters."""
    return {
        "numbered": [row._asdict() | {"where": str(row.where)} for row in NUMBERED],
        "catalogue": [
            {
                "name": fault.name,
                "where": fault.where.value,
                "summary": fault.summary,
                "seen_as": fault.seen_as,
                "parameters": [parameter._asdict() for parameter in fault.parameters],
            }
            for fault in FAULTS.values()
        ],
    }


def _columns(rows: Iterable[tuple[str, ...]]) -> list[str]:
    table = list(rows)
    widths = [max(len(row[at]) for row in table) for at in range(len(HEAD) - 1)]
    return [
        "  ".join([f"{row[0]:>{widths[0]}}", *(f"{row[at]:<{widths[at]}}" for at in range(1, 4)), row[4]])
        for row in table
    ]


def _of_number(row: NumberedFault) -> list[str]:
    caused = ", ".join(row.caused_by) if row.caused_by else f"not modelled: {row.not_modelled}"
    return [
        f"FI {row.number:02}: {row.summary}",
        f"  acts on            {row.where}",
        f"  caused by          {caused}",
        f"  the firmware sees  {row.seen_as}",
        f"  expected           {row.expected}",
    ]


def _of_fault(fault: Fault) -> list[str]:
    return [
        f"{fault.name}: {fault.summary}",
        f"  acts on            {fault.where}",
        f"  the firmware sees  {fault.seen_as}",
        *(f"  {parameter.name}: {_range_of(parameter)}" for parameter in fault.parameters),
    ]


def _range_of(parameter: Parameter) -> str:
    unit = bare_name_and_unit(parameter.name)[1]
    words = f"{parameter.lowest} to {parameter.highest}{f' {unit}' if unit else ''}"
    if parameter.required:
        return f"{words}; required"
    unsaid = "" if parameter.default is None else f"{parameter.default} where it is not given"
    return "; ".join(part for part in (words, unsaid, parameter.meaning) if part)


def _sentence(text: str) -> str:
    """A sentence as the table has it: its first one, without a capital and a full stop."""
    first = text.split(". ", maxsplit=1)[0].rstrip(".")
    return first[0].lower() + first[1:]
