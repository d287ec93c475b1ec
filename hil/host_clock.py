"""The monotonic clock of this machine, to be handed to whoever measures how long something takes."""

from __future__ import annotations

import time
from typing import Final

NS_PER_MS: Final = 1_000_000


def host_ms() -> int:
    """Milliseconds since a moment that is the same for the whole process."""
    return time.monotonic_ns() // NS_PER_MS
