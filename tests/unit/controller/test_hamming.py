"""Codewords: one wrong bit is put right, two are known to be wrong, and a value outside of 64 bits has none."""

from __future__ import annotations

from itertools import combinations

import pytest

from firmware_emu.controller.hamming import VALUE_BITS, WORD_BITS, Decoded, Verdict, decode, encode
from tests.support.for_each import for_each

VALUES = (0, 1, 600_000, 43_199_999_999, 0x55, (1 << VALUE_BITS) - 1, 0xDEAD_BEEF_0BAD_F00D)


@for_each("value", VALUES)
def test_each_single_wrong_bit_is_put_right(value: int) -> None:
    word = encode(value)
    assert decode(word) == Decoded(Verdict.CLEAN, value)
    for bit in range(WORD_BITS):
        assert decode(word ^ 1 << bit) == Decoded(Verdict.CORRECTED, value)


@for_each("value", VALUES)
def test_each_pair_of_wrong_bits_is_known_to_be_wrong_and_never_put_right(value: int) -> None:
    word = encode(value)
    for one, other in combinations(range(WORD_BITS), 2):
        assert decode(word ^ 1 << one ^ 1 << other).verdict is Verdict.LOST


def test_three_wrong_bits_may_look_like_one_which_is_why_there_is_a_second_channel() -> None:
    found = decode(encode(600_000) ^ 0b1110_1000 ^ 0b1000_0000)
    assert found.verdict is Verdict.CORRECTED
    assert found.value != 600_000


@for_each("value", [-1, 1 << VALUE_BITS])
def test_a_value_of_more_than_64_bits_has_no_codeword(value: int) -> None:
    with pytest.raises(ValueError, match=f"^{value} has no codeword"):
        encode(value)
