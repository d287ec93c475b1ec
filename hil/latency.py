"""How long a device takes to answer, by kind of request: quantiles, and whether two of them are really apart.

All of it is by ranks, so that one answer that a busy host has held up moves nothing.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple

from hil.frame_words import opcode_name
from protocol.identifiers import Kind
from protocol.wire.frame import Frame

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from hil.capture.messages import RecordedMessage

ALL: Final = "all requests"
"""Stands for all kinds: where few tests ran, there may be too few answers of each to say anything."""
ANSWERS_MIN: Final = 20
"""Of a kind of request, on each side: with fewer nothing is said of a shift."""
LEAST_SHIFT_US: Final = 1_000
"""A shift of less is that of a USB adapter's latency and a scheduler's tick."""
LEAST_SHIFT_PERCENT: Final = 10
NS_PER_US: Final = 1_000


class Quantiles(NamedTuple):
    """Latencies of one kind of request, in microseconds, by nearest rank."""

    answers: int
    p10_us: int
    p50_us: int
    p90_us: int
    max_us: int


class Latencies:
    """Latencies as they are collected: of each kind of request, by the name of its opcode."""

    def __init__(self) -> None:
        self._us: defaultdict[str, list[int]] = defaultdict(list)

    def take(self, messages: Iterable[RecordedMessage]) -> None:
        """Add what these messages say: from a request, at its first try, to the last byte of its answer."""
        asked_ns: dict[int, int] = {}
        for entry in messages:
            frame, time_ns = entry.frame, entry.passed.time_ns
            if not isinstance(frame, Frame) or time_ns is None:
                continue
            if frame.kind is Kind.REQUEST:
                asked_ns[entry.number] = time_ns
            elif entry.answers in asked_ns:
                self._us[opcode_name(frame)].append((time_ns - asked_ns.pop(entry.answers)) // NS_PER_US)

    def quantiles(self) -> dict[str, Quantiles]:
        """Those of each kind, by name, and of all together."""
        found = {name: quantiles_of(values) for name, values in sorted(self._us.items())}
        if found:
            found[ALL] = quantiles_of([value for values in self._us.values() for value in values])
        return found


def quantiles_of(values_us: Sequence[int]) -> Quantiles:
    """Quantiles of one value or more."""
    ordered = sorted(values_us)
    p10_us, p50_us, p90_us = (ordered[(len(ordered) - 1) * percent // 100] for percent in (10, 50, 90))
    return Quantiles(len(ordered), p10_us, p50_us, p90_us, ordered[-1])


class Shift(NamedTuple):
    """A kind of request of which both sides have answers."""

    request: str
    first: Quantiles
    second: Quantiles

    @property
    def is_judged(self) -> bool:
        """Whether there are enough answers to say anything."""
        return min(self.first.answers, self.second.answers) >= ANSWERS_MIN

    @property
    def is_shifted(self) -> bool:
        """Whether the latency is another.

        The median of each side is outside of the middle 80 % of the other one, and the medians are 1 ms and 10 % of the
        smaller apart.
        """
        first, second = self.first, self.second
        apart_us = abs(first.p50_us - second.p50_us)
        return (
            self.is_judged
            and not first.p10_us <= second.p50_us <= first.p90_us
            and not second.p10_us <= first.p50_us <= second.p90_us
            and apart_us >= LEAST_SHIFT_US
            and apart_us * 100 >= LEAST_SHIFT_PERCENT * min(first.p50_us, second.p50_us)
        )


def shifts(first: Mapping[str, Quantiles], second: Mapping[str, Quantiles]) -> list[Shift]:
    """Each kind of request that both sides have, in order of its name."""
    return [Shift(name, first[name], second[name]) for name in sorted(first.keys() & second.keys())]
