"""The queue before a descriptor that must never block, on a real pipe."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from firmware_emu.bench.ports.port import OutQueue

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    os.set_blocking(read_end, False)
    yield read_end, write_end
    os.close(read_end)
    os.close(write_end)


def test_what_fits_is_written_at_once(pipe: tuple[int, int]) -> None:
    queue = OutQueue()
    queue.push(b"abc")
    assert queue.drain(pipe[1])
    assert os.read(pipe[0], 10) == b"abc"
    assert queue.waiting_bytes == 0


def test_what_does_not_fit_waits_and_follows_in_order(pipe: tuple[int, int]) -> None:
    queue = OutQueue(limit_bytes=1_000_000)
    data = b"".join(number.to_bytes(4, "big") for number in range(50_000))
    for start in range(0, len(data), 1_000):
        queue.push(data[start : start + 1_000])
    read = b""
    while not queue.drain(pipe[1]):
        read += os.read(pipe[0], 5_000)
    while queue.waiting_bytes or len(read) < len(data):
        read += os.read(pipe[0], 5_000)
    assert read == data
    assert queue.dropped_bytes == 0


def test_beyond_the_limit_a_frame_is_dropped_whole_and_counted() -> None:
    queue = OutQueue(limit_bytes=10)
    queue.push(b"12345678")
    queue.push(b"abc")
    queue.push(b"de")
    assert (queue.waiting_bytes, queue.dropped_bytes) == (10, 3)


def test_clearing_counts_what_waited() -> None:
    queue = OutQueue()
    queue.push(b"12345678")
    queue.clear()
    assert (queue.waiting_bytes, queue.dropped_bytes) == (0, 8)
