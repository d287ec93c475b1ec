"""Memory cells: what is written is there, a torn write is half there, and forks do not see each other."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_emu.pins import PowerCut
from firmware_emu.plant.fault_records import CutAtWrite
from firmware_emu.plant.flash import AddressError, Flash

SIZE = 2_048


def armed(n: int, torn_after_bytes: int) -> Flash:
    flash = Flash(SIZE)
    flash.cut = CutAtWrite(n, torn_after_bytes)
    return flash


def test_a_new_memory_is_erased_and_holds_no_page() -> None:
    flash = Flash(SIZE)
    assert flash.read(0, SIZE) == b"\xff" * SIZE
    assert flash.contents() == ()


@given(writes=st.lists(st.tuples(st.integers(0, SIZE - 1), st.binary(max_size=700)), max_size=10))
def test_it_reads_as_an_array_of_bytes_does(writes: list[tuple[int, bytes]]) -> None:
    flash, plain = Flash(SIZE), bytearray(b"\xff" * SIZE)
    for offset, data in writes:
        fitting = data[: SIZE - offset]
        flash.write(offset, fitting)
        plain[offset : offset + len(fitting)] = fitting
    assert flash.read(0, SIZE) == bytes(plain)
    for offset, data in writes:
        assert flash.read(offset, len(data[: SIZE - offset])) == plain[offset : offset + len(data)]
    copied = Flash(SIZE)
    copied.load(flash.contents())
    assert copied.read(0, SIZE) == bytes(plain)
    replayed = Flash(SIZE)
    replayed.load(flash.take_writes())
    assert replayed.read(0, SIZE) == bytes(plain)


def test_writes_are_handed_over_once_and_in_order() -> None:
    flash = Flash(SIZE)
    flash.write(10, b"one")
    flash.write(5, b"two")
    assert flash.take_writes() == ((10, b"one"), (5, b"two"))
    assert flash.take_writes() == ()


def test_loading_records_no_writes_and_fires_no_trigger() -> None:
    flash = armed(1, 0)
    flash.load([(0, b"abc")])
    assert flash.read(0, 3) == b"abc"
    assert flash.take_writes() == ()
    assert flash.cut is not None


@pytest.mark.parametrize("torn_after_bytes", [0, 1, 3, 6, 7, 100])
def test_the_nth_write_is_torn_and_the_ones_before_it_are_whole(torn_after_bytes: int) -> None:
    flash = armed(2, torn_after_bytes)
    flash.write(0, b"whole")
    with pytest.raises(PowerCut) as cut:
        flash.write(254, b"torn up")
    assert cut.value.at_ms is None
    landed = b"torn up"[:torn_after_bytes]
    assert flash.read(0, 5) == b"whole"
    assert flash.read(254, 7) == landed.ljust(7, b"\xff")
    assert flash.take_writes() == (((0, b"whole"), (254, landed)) if landed else ((0, b"whole"),))


def test_a_cut_fires_once() -> None:
    flash = armed(1, 0)
    with pytest.raises(PowerCut):
        flash.write(0, b"lost")
    flash.write(0, b"kept")
    assert flash.read(0, 4) == b"kept"


@pytest.mark.parametrize(("offset", "length"), [(-1, 1), (SIZE, 1), (SIZE - 3, 4)])
def test_there_is_nothing_outside_the_memory(offset: int, length: int) -> None:
    flash = Flash(SIZE)
    with pytest.raises(AddressError, match=f"{length} bytes at {offset}"):
        flash.read(offset, length)
    with pytest.raises(AddressError):
        flash.write(offset, bytes(length))
    with pytest.raises(AddressError):
        flash.load([(offset, bytes(length))])
    assert flash.read(SIZE - 4, 4) == b"\xff" * 4


def test_a_fork_shares_pages_and_sees_no_later_write_of_the_other() -> None:
    flash = Flash(SIZE)
    flash.write(0, b"common")
    flash.write(300, b"common")
    fork = copy.deepcopy(flash)
    fork.write(0, b"forked")
    assert flash.read(0, 6) == b"common"
    assert fork.read(0, 6) == b"forked"
    assert fork.pages[1] is flash.pages[1]
    assert len(flash.take_writes()) == 2
    assert len(fork.take_writes()) == 3
