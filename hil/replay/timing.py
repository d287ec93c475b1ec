"""How quickly a recording is played: as it was, so many times as fast, or as quickly as it is asked for."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from hil.errors import UsageError

_TIMES: Final = re.compile("x([1-9][0-9]{0,5})")


class Timing(NamedTuple):
    """A pace. `speed` 0 waits for nothing."""

    speed: int

    def scaled_ns(self, recorded_ns: int) -> int:
        """What a time of the recording takes here."""
        return recorded_ns // self.speed if self.speed else 0


ORIGINAL: Final = Timing(1)
ASKED: Final = Timing(0)


def timing_named(text: str) -> Timing:
    """The pace that `original`, `xN` or `asked` names. UsageError for any other text."""
    named = {"original": ORIGINAL, "asked": ASKED}.get(text)
    times = _TIMES.fullmatch(text)
    if named is None and times is None:
        raise UsageError(
            f"no such timing: {text!r}",
            advice="write original, asked, or x and a whole number from 1 to 999999, as x10",
        )
    return named or Timing(int(times[1]) if times else 1)
