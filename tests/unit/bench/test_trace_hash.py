"""The trace's hash: the same for the same trace however it came in, another for any other, and a value."""

from __future__ import annotations

import copy
import pickle
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from firmware_emu.bench.trace_hash import BLOCK_BYTES, TraceHash


def hash_of(*parts: bytes) -> str:
    trace_hash = TraceHash()
    for part in parts:
        trace_hash.add(part)
    return trace_hash.hexdigest()


@given(st.integers(0, 3 * BLOCK_BYTES), st.lists(st.integers(0, 3 * BLOCK_BYTES)))
def test_it_does_not_depend_on_how_the_trace_was_cut(length: int, cuts: list[int]) -> None:
    data = bytes(number * 7 % 251 for number in range(length))
    edges = [0, *sorted(min(cut, length) for cut in cuts), length]
    parts = [data[start:end] for start, end in pairwise(edges)]
    assert hash_of(*parts) == hash_of(data)


def test_every_byte_counts() -> None:
    data = bytes(2 * BLOCK_BYTES + 5)
    for position in (0, BLOCK_BYTES - 1, BLOCK_BYTES, 2 * BLOCK_BYTES + 4):
        other = data[:position] + b"\x01" + data[position + 1 :]
        assert hash_of(other) != hash_of(data), position
    assert hash_of(data[:-1]) != hash_of(data)


def test_a_copy_goes_on_by_itself() -> None:
    first = TraceHash()
    first.add(b"x" * 5_000)
    for second in (copy.deepcopy(first), pickle.loads(pickle.dumps(first))):  # noqa: S301 - our own bytes
        second.add(b"y")
        assert second.hexdigest() == hash_of(b"x" * 5_000 + b"y")
    assert first.hexdigest() == hash_of(b"x" * 5_000)
