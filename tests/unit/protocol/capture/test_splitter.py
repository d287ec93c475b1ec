"""A stream is cut into frames with their delimiters and what stands between them, whatever the chunks."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.capture.splitter import HELD_MAX_BYTES, Splitter

GAP_NS = 1_000_000_000
STREAMS = st.lists(st.sampled_from([0, 0, 1, 2, 255]), max_size=60).map(bytes)


def pieces(*chunks: bytes) -> list[bytes]:
    splitter = Splitter(GAP_NS)
    found = [piece for number, chunk in enumerate(chunks) for piece in splitter.feed(chunk, number)]
    return [piece.data for piece in found + splitter.take_held()]


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"\0ab\0", [b"\0ab\0"]),
        (b"\0ab\0\0cd\0", [b"\0ab\0", b"\0cd\0"]),
        (b"\0ab\0cd\0", [b"\0ab\0", b"cd\0"]),
        (b"noise\0ab\0", [b"noise\0", b"ab\0"]),
        (b"\0\0\0ab\0", [b"\0\0", b"\0ab\0"]),
        (b"\0ab\0\0\0", [b"\0ab\0", b"\0\0"]),
        (b"\0half", [b"\0half"]),
        (b"\0", [b"\0"]),
        (b"", []),
    ],
)
def test_a_frame_has_its_delimiters_and_all_else_is_by_itself(stream: bytes, expected: list[bytes]) -> None:
    assert pieces(stream) == expected


@given(stream=STREAMS, at=st.lists(st.integers(0, 60), max_size=6))
def test_the_pieces_are_the_stream_and_the_same_however_it_came(stream: bytes, at: list[int]) -> None:
    ends = [0, *sorted(min(place, len(stream)) for place in at), len(stream)]
    chunks = [stream[start:end] for start, end in itertools.pairwise(ends)]
    assert b"".join(pieces(*chunks)) == stream
    frames = [piece for piece in pieces(stream) if piece.strip(b"\0")]
    assert [piece for piece in pieces(*chunks) if piece.strip(b"\0")] == frames


def test_half_a_frame_is_given_after_a_silence_with_the_time_of_its_last_byte() -> None:
    splitter = Splitter(GAP_NS)
    assert splitter.feed(b"\0ha", 5) == []
    assert splitter.feed(b"lf", 7) == []
    assert splitter.feed(b"\0ab\0", 7 + GAP_NS) == [(7, b"\0half"), (7 + GAP_NS, b"\0ab\0")]


def test_bytes_without_an_end_are_given_as_they_are_and_never_pile_up() -> None:
    splitter = Splitter(GAP_NS)
    given_bytes = sum(len(piece.data) for n in range(100) for piece in splitter.feed(b"x" * 100, n))
    held = sum(len(piece.data) for piece in splitter.take_held())
    assert given_bytes + held == 10_000
    assert held <= HELD_MAX_BYTES
