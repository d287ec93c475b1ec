"""The line to a replay in this process. Its time passes only while somebody waits, so that no delay costs any."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil.channel import Channel
from hil.errors import BenchLost
from hil.replay.pace import NS_PER_MS

if TYPE_CHECKING:
    from hil.replay.device import ReplayDevice


class ReplayLine:
    """One device and the time of its line, over all channels that are opened to it."""

    def __init__(self, device: ReplayDevice) -> None:
        self.device = device
        self.now_ns = 0
        self.sent_bytes = 0

    def put(self, data: bytes) -> None:
        """Bytes to the device, now."""
        self.sent_bytes += len(data)
        self.device.feed(data, self.now_ns)
        self.device.advance(self.now_ns)

    def take(self, deadline_ns: int) -> bytes:
        """What the device sends; lets time pass to what it does next, or the deadline, until there is something."""
        output = self.device.take_output()
        while not output and self.now_ns < deadline_ns:
            wake_ns = self.device.wake_at_ns
            next_ns = deadline_ns if wake_ns is None else min(deadline_ns, wake_ns)
            self.now_ns = max(self.now_ns + 1, next_ns)
            self.device.advance(self.now_ns)
            output = self.device.take_output()
        return output


class ReplayChannel(Channel):
    """A channel to a replay."""

    def __init__(self, line: ReplayLine) -> None:
        self._line = line
        self._closed = False

    @property
    def sent_bytes(self) -> int:
        return self._line.sent_bytes

    def send(self, data: bytes) -> None:
        self._check_open()
        self._line.put(data)

    def receive(self, deadline_ms: int) -> bytes:
        self._check_open()
        return self._line.take(deadline_ms * NS_PER_MS)

    def now_ms(self) -> int:
        """The time of the line, from 0."""
        return self._line.now_ns // NS_PER_MS

    def device_ms(self) -> None:
        """A recording has no time of its own."""

    def close(self) -> None:
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise BenchLost("this channel to the replay was closed", advice="open another")
