"""A replay on a port that programmers open: the loop around the device, until somebody says stop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hil.waking_loop import WakingLoop

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.capture.tap import NearPort
    from hil.replay.device import ReplayDevice

NS_PER_S: Final = 1_000_000_000
GOODBYE_NS: Final = NS_PER_S
"""How long a device that has met its last request stays, so that its refusal is read and the session can end."""


class ReplayServer(WakingLoop):
    """Carries bytes between a port and the device. Port and device are whose they were."""

    def __init__(self, near: NearPort, device: ReplayDevice, now_ns: Callable[[], int]) -> None:
        """`now_ns` is a clock that never goes back, in ns."""
        super().__init__()
        self._near = near
        self._device = device
        self._now_ns = now_ns
        self._ends_at_ns: int | None = None
        near.attach(self.selector)

    def run(self) -> None:
        """Serve until `stop`, or until the device has met what ends it. BenchLost where the port is lost."""
        while not self.is_stopping and not self._has_ended():
            self.turn(self._wait_s())
            data, now_ns = self._near.take_received(), self._now_ns()
            if data:
                self._device.feed(data, now_ns)
            self._device.advance(now_ns)
            output = self._device.take_output()
            if output:
                self._near.send(output)
            if self._device.stopped and self._ends_at_ns is None:
                self._ends_at_ns = now_ns + GOODBYE_NS

    def _wait_s(self) -> float | None:
        """How long nothing is due."""
        due = [each for each in (self._device.wake_at_ns, self._ends_at_ns) if each is not None]
        return max(0, min(due) - self._now_ns()) / NS_PER_S if due else None

    def _has_ended(self) -> bool:
        if self._ends_at_ns is None:
            return False
        return not self._device.has_session or self._now_ns() >= self._ends_at_ns
