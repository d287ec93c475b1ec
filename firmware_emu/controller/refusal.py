"""What a check returns when it refuses: the code, what was asked, what the limit is, what would be accepted.

Not an exception: a refused value is an ordinary answer of a pure check.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from protocol.identifiers import ErrorCode

U32_MAX: Final = 0xFFFF_FFFF


class Refusal(NamedTuple):
    """`value` is what was asked, `nearest` the nearest value that would be accepted now [SPEC 7]."""

    code: ErrorCode
    value: int
    limit: int
    nearest: int


def saturated_u32(value: int) -> int:
    """The value as the wire can show it: what lies outside of 32 bits shows the end that it passed."""
    return min(max(value, 0), U32_MAX)
