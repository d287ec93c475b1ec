"""The newest of a trace: numbered, bounded, and what is lost of it counted."""

from __future__ import annotations

import pytest

from firmware_emu.bench.profile_file import load_profile
from firmware_emu.bench.pump_host import new_pump
from firmware_emu.bench.rig import actions
from firmware_emu.bench.rig.actions import RefusedError
from firmware_emu.bench.trace_ring import ENTRIES_KEPT, TraceRing
from firmware_emu.bench.virtual import VirtualBench
from firmware_emu.events import MemoryWritten, TraceEntry
from firmware_emu.now import Now
from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR


def entries(first: int, count: int) -> tuple[TraceEntry, ...]:
    return tuple(TraceEntry(Now.both(n), MemoryWritten(n, b"")) for n in range(first, first + count))


def filled(blocks: list[int]) -> TraceRing:
    ring = TraceRing()
    for count in blocks:
        ring.add(entries(ring.mark, count))
    return ring


@pytest.mark.parametrize(
    "blocks", [[1] * 30_000, [7] * 3_000, [3, 1, 0, 9_999], [25_000], [25_000, 1, 9_998]]
)
def test_the_newest_are_kept_and_what_is_gone_is_counted_from_every_mark(blocks: list[int]) -> None:
    ring = filled(blocks)
    total = sum(blocks)
    assert ring.mark == total
    kept = total - ring.kept_from
    assert min(total, ENTRIES_KEPT) <= kept < ENTRIES_KEPT + max(blocks)
    for mark in {0, 1, ring.kept_from - 1, ring.kept_from, ring.kept_from + 1, total - 1, total}:
        if mark < 0:
            continue
        page = ring.since(mark)
        assert [entry.now.pump_ms for entry in page.entries] == list(range(max(mark, ring.kept_from), total))
        assert (page.lost, page.next) == (max(0, ring.kept_from - mark), total)


def test_pages_in_a_row_are_the_whole() -> None:
    ring, mark, seen = filled([3] * 700), 0, list[int]()
    while mark < ring.mark:
        page = ring.since(mark, 256)
        assert page.lost == 0
        seen += [entry.now.pump_ms for entry in page.entries]
        mark = page.next
    assert seen == list(range(2_100))


def test_a_trace_since_a_mark_is_what_was_done_since() -> None:
    bench = VirtualBench(new_pump(load_profile("implanted"), 3))
    bench.advance(MS_PER_DAY)
    mark = actions.trace_mark(bench)
    assert actions.trace(bench, mark).entries == ()
    actions.inject(bench, "motor-stall", {"duration_ms": MS_PER_HOUR})
    bench.advance(1)
    fork = bench.fork()
    assert [str(entry.event) for entry in actions.trace(bench, mark).entries] == [
        "FaultInjected(name='motor-stall', parameters=(FaultValue(name='duration_ms', value=3600000),))"
    ]
    fork.advance(MS_PER_DAY)
    assert actions.trace_mark(bench) == mark + 1 < actions.trace_mark(fork)
    assert actions.trace(fork, mark).entries[0] is actions.trace(bench, mark).entries[0], (
        "shared: none changes"
    )
    with pytest.raises(
        RefusedError, match=f"the trace has {mark + 1} entries by now, and {mark + 2} is no mark"
    ):
        actions.trace(bench, mark + 2)
