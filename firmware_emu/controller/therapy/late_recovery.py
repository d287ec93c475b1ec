"""The end of a stall that is not told yet: pumps in the field logged it late, or at the second interrogation [RH-09].

Kept in RAM alone: after a reset the alarm still says that the motor stalled, and good edges tell of the end anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from firmware_emu.units import MS_PER_MINUTE

if TYPE_CHECKING:
    from protocol.log.data import StallRecoveredData

LATEST_MS: Final = 90 * MS_PER_MINUTE  # [DOMAIN 3.4], remembered
SESSIONS: Final = 2
"""Which interrogation after it tells of it."""


@dataclass(slots=True)
class LateRecovery:
    """The end of a stall that waits to be told; nothing where `data` is None."""

    data: StallRecoveredData | None = None
    at_ms: int = 0
    sessions: int = 0

    def keep(self, data: StallRecoveredData, at_ms: int) -> None:
        """Keep the end of a stall."""
        self.data, self.at_ms, self.sessions = data, at_ms, 0

    def take(self) -> StallRecoveredData | None:
        """What is to be told now, once."""
        data, self.data = self.data, None
        return data

    @property
    def due_ms(self) -> int | None:
        """When it is told though nobody has asked; None where nothing waits."""
        return None if self.data is None else self.at_ms + LATEST_MS

    def count_session(self) -> bool:
        """Count an interrogation; returns whether it is the one that tells."""
        if self.data is None:
            return False
        self.sessions += 1
        return self.sessions >= SESSIONS
