"""A loop over descriptors that a signal handler, or another thread, can end."""

from __future__ import annotations

import os
import selectors
from typing import Final

_WAKE_BYTES: Final = 4_096


class WakingLoop:
    """What is registered with `selector` is called when it is ready; whoever makes the loop closes it."""

    def __init__(self) -> None:
        self.is_stopping = False
        """Whether somebody has said stop."""
        self._awake, self.wake_descriptor = os.pipe()
        for descriptor in (self._awake, self.wake_descriptor):
            os.set_blocking(descriptor, False)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self._awake, selectors.EVENT_READ, self._woken)

    def turn(self, timeout_s: float | None = None) -> None:
        """Wait for the first descriptor that is ready, so long at most, and call what is registered for each."""
        for key, events in self.selector.select(timeout_s):
            key.data(events)

    def stop(self) -> None:
        """End the loop after this turn. May be called from a signal handler and from another thread."""
        self.is_stopping = True
        os.write(self.wake_descriptor, b"\0")

    def close(self) -> None:
        """Let go of what the loop waited on."""
        self.selector.close()
        os.close(self._awake)
        os.close(self.wake_descriptor)

    def _woken(self, _events: int) -> None:
        os.read(self._awake, _WAKE_BYTES)
