"""Faults of the memory's cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from firmware_emu.faults.fault import COUNT_MAX, Fault, Parameter, Values, Where
from firmware_emu.plant.flash import PAGE_BYTES

if TYPE_CHECKING:
    from firmware_emu.plant.plant import Plant


def _aimed_at(plant: Plant, fault: str, values: Values) -> int:
    """The offset that is meant: in the memory, or in one of its user's records."""
    region, offset_bytes = values["region"], values["offset_bytes"]
    if region is None:
        if offset_bytes >= plant.flash.size_bytes:
            raise ValueError(
                f"offset_bytes of {fault} must be below the memory's {plant.flash.size_bytes}, is {offset_bytes}"
            )
        return int(offset_bytes)
    places = plant.flash.places
    if region >= len(places):
        raise ValueError(f"region of {fault} must be below {len(places)}, is {region}")
    start, length = places[region]
    if offset_bytes >= length:
        raise ValueError(
            f"offset_bytes of {fault} in region {region} must be below {length}, is {offset_bytes}"
        )
    return start + int(offset_bytes)


def _inject_flip(plant: Plant, _now_ms: int, values: Values) -> None:
    plant.flash.flip(_aimed_at(plant, "bit-flip", values), values["bit"])


def _inject_stuck_page(plant: Plant, _now_ms: int, values: Values) -> None:
    start = _aimed_at(plant, "stuck-page", values) // PAGE_BYTES * PAGE_BYTES
    plant.flash.stick("stuck_pages", start, min(start + PAGE_BYTES, plant.flash.size_bytes))


def _inject_stuck_cell(plant: Plant, _now_ms: int, values: Values) -> None:
    start = _aimed_at(plant, "stuck-cell", values)
    plant.flash.stick("stuck_cells", start, start + 1)


_AIM: Final = (
    Parameter("offset_bytes", 0, COUNT_MAX, default=0),
    Parameter("region", 0, 255, meaning="in the memory as a whole, else in the record of that number"),
)

MEMORY_FAULTS: Final = (
    Fault(
        "bit-flip",
        Where.MEMORY,
        "A bit reads as its opposite until its byte is written again; each further flip is another. Counted once read.",
        "a checksum that is wrong: MEM_CRITICAL and the safe state, or MEM_NONCRITICAL",
        _inject_flip,
        lambda plant, _now_ms: plant.flash.heal("flips"),
        lambda plant: bool(plant.flash.flips),
        lambda plant: plant.flash.flips_seen,
        (*_AIM, Parameter("bit", 0, 7, default=0)),
    ),
    Fault(
        "stuck-page",
        Where.MEMORY,
        "A page of the memory takes no write; each further one is another. Counted are the writes that it refused.",
        "what was written is not what is read back: NVM_FAULT, and the alarm of what was lost",
        _inject_stuck_page,
        lambda plant, _now_ms: plant.flash.heal("stuck_pages"),
        lambda plant: bool(plant.flash.stuck_pages),
        lambda plant: plant.flash.refused["stuck_pages"],
        _AIM,
    ),
    Fault(
        "stuck-cell",
        Where.MEMORY,
        "A byte of the memory takes no write; each further one is another. Counted are the writes that it refused.",
        "as stuck-page, where the byte that was to be written is another",
        _inject_stuck_cell,
        lambda plant, _now_ms: plant.flash.heal("stuck_cells"),
        lambda plant: bool(plant.flash.stuck_cells),
        lambda plant: plant.flash.refused["stuck_cells"],
        _AIM,
    ),
)
