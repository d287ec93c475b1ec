"""Codewords of 72 bits for values of 64: one wrong bit is put right, two are known to be wrong [DOMAIN SR-66].

An extended Hamming code. Bit 0 makes the parity of the whole word even, bits 1, 2, 4 to 64 that of the places that have
this power of two in their number; the value lies in the others. Any two words of the code differ in four bits, so three
wrong bits may look like one: a value of which that must not be true is kept twice.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple

WORD_BITS: Final = 72
VALUE_BITS: Final = 64
_CHECKS: Final = tuple(1 << power for power in range(7))
_COVERED: Final = {
    check: sum(1 << place for place in range(1, WORD_BITS) if place & check) for check in _CHECKS
}


def _runs() -> tuple[tuple[int, int, int], ...]:
    """Bits of a value that lie side by side in its word: the first of them, its place, and a mask for the run."""
    runs, index = [], 0
    for check, following in zip(_CHECKS, (*_CHECKS[1:], WORD_BITS), strict=True):
        if length := following - check - 1:
            runs.append((index, check + 1, (1 << length) - 1))
            index += length
    return tuple(runs)


_RUNS: Final = _runs()


class Verdict(Enum):
    """What a word is."""

    CLEAN = "clean"
    CORRECTED = "corrected"
    LOST = "lost"


class Decoded(NamedTuple):
    """What a word holds; no value where it is lost."""

    verdict: Verdict
    value: int


def encode(value: int) -> int:
    """The codeword of a value of 64 bits. ValueError for any other."""
    if not 0 <= value < 1 << VALUE_BITS:
        raise ValueError(f"{value} has no codeword: it is no number of {VALUE_BITS} bits")
    word = 0
    for index, place, mask in _RUNS:
        word |= (value >> index & mask) << place
    for check, covered in _COVERED.items():
        word |= ((word & covered).bit_count() & 1) << check
    return word | word.bit_count() & 1


def decode(word: int) -> Decoded:
    """The value of a word of which at most two bits are wrong."""
    syndrome = sum(check for check, covered in _COVERED.items() if (word & covered).bit_count() & 1)
    odd = word.bit_count() & 1
    if not odd:
        return Decoded(Verdict.LOST, 0) if syndrome else Decoded(Verdict.CLEAN, _value(word))
    if syndrome >= WORD_BITS:
        return Decoded(Verdict.LOST, 0)
    return Decoded(Verdict.CORRECTED, _value(word ^ 1 << syndrome))


def _value(word: int) -> int:
    value = 0
    for index, place, mask in _RUNS:
        value |= (word >> place & mask) << index
    return value
