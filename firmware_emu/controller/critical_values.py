"""What decides a dose, by name, and the cells of RAM in which two channels each keep it.

A row of `CRITICAL` is a number of 64 bits. The first channel keeps row n in cell n, the second in cell n + `COPY`; of
what is counted each keeps what it has counted itself (`second_channel`). A cell holds a codeword of `hamming`. Not for
what lies in the memory that outlives power: that has checksums of its own (`memory`).

An emulated program works with numbers of Python, which no ray can turn, and looks at its cells where one was disturbed:
before each event and before each byte. What it finds there then is what it has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from firmware_emu.controller.hamming import Verdict, decode, encode
from firmware_emu.controller.therapy.counters import Source
from firmware_emu.pins import CELLS

if TYPE_CHECKING:
    from collections.abc import Callable

    from firmware_emu.controller.therapy.therapy import Therapy
    from firmware_emu.pins import ProcessorPin

COPY: Final = CELLS // 2
"""The cell of a value in the second channel is so much behind that in the first."""


class CriticalValue(NamedTuple):
    """One value as each channel has it."""

    name: str
    first: Callable[[Therapy], int]
    second: Callable[[Therapy], int]


def _strokes_left(source: Source) -> CriticalValue:
    def first(therapy: Therapy) -> int:
        deliveries = therapy.deliveries
        delivery = deliveries.bridge if source is Source.BRIDGE else deliveries.of_source(source)
        return 0 if delivery is None else delivery.strokes_left

    def second(therapy: Therapy) -> int:
        return therapy.channel.strokes_left(source) if first(therapy) else 0

    return CriticalValue(f"strokes left of {source.name.lower()}", first, second)


def _kept_twice(name: str, value: Callable[[Therapy], int]) -> CriticalValue:
    return CriticalValue(name, value, value)


CRITICAL: Final = (
    CriticalValue(
        "rate",
        lambda therapy: therapy.deliveries.basal.rate_nl_per_day,
        lambda therapy: therapy.channel.gates[Source.BASAL].numerator,
    ),
    CriticalValue(
        "beginning",
        lambda therapy: therapy.deliveries.basal.anchor_ms,
        lambda therapy: therapy.channel.gates[Source.BASAL].anchor_ms,
    ),
    CriticalValue(
        "owed",
        lambda therapy: therapy.deliveries.basal.carried,
        lambda therapy: therapy.channel.gates[Source.BASAL].carried,
    ),
    CriticalValue(
        "strokes turned",
        lambda therapy: therapy.deliveries.basal.emitted,
        lambda therapy: therapy.channel.gates[Source.BASAL].turned,
    ),
    _kept_twice("state", lambda therapy: therapy.records.therapy.state),
    _kept_twice("program revision", lambda therapy: therapy.records.therapy.program_rev),
    _kept_twice("concentration", lambda therapy: therapy.records.reservoir.concentration_ng_per_ml),
    *(_strokes_left(source) for source in Source if source is not Source.BASAL),
)
"""In the order of their cells."""


class Found(NamedTuple):
    """Which cells a look has found wrong; where two channels do not agree, `disagreed` has the cell of the first."""

    corrected: tuple[int, ...]
    lost: tuple[int, ...]
    disagreed: tuple[int, ...]


def store(processor: ProcessorPin, therapy: Therapy) -> None:
    """Write what is in use into the cells of both channels."""
    for cell, value in enumerate(CRITICAL):
        processor.write_cell(cell, encode(value.first(therapy)))
        processor.write_cell(cell + COPY, encode(value.second(therapy)))


def look(processor: ProcessorPin) -> Found:
    """Read all cells, of each channel by itself, and compare what they hold."""
    corrected, lost, disagreed = [], [], []
    for cell in range(len(CRITICAL)):
        both = {each: decode(processor.read_cell(each)) for each in (cell, cell + COPY)}
        corrected += [each for each, found in both.items() if found.verdict is Verdict.CORRECTED]
        wrong = [each for each, found in both.items() if found.verdict is Verdict.LOST]
        lost += wrong
        if not wrong and len({found.value for found in both.values()}) > 1:
            disagreed.append(cell)
    return Found(tuple(sorted(corrected)), tuple(sorted(lost)), tuple(disagreed))
