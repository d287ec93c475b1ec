"""A tap in the middle of a line: what a programmer and a pump say to each other goes through it, and into a recording.

The line comes first: a side that takes no bytes does not hold up the other way, and the recording holds up neither.
"""

from __future__ import annotations

import selectors
from typing import TYPE_CHECKING, Final, Protocol

from hil.waking_loop import WakingLoop
from protocol.capture.recording import DROPPED, Way

if TYPE_CHECKING:
    from hil.targets.descriptor import DescriptorChannel
    from protocol.capture.clocked import ClockedRecorder

WAITING_MAX_BYTES: Final = 65_536
"""For a pump that takes none for now; what comes after that is dropped whole, and a mark says so."""


class NearPort(Protocol):
    """The port that the programmer opens, as an emulator has one."""

    @property
    def dropped_bytes(self) -> int:
        """Bytes that no programmer read, since it was opened."""
        ...

    def attach(self, selector: selectors.BaseSelector, /) -> None:
        """Register with the loop; the data of each key is to be called with what is ready."""
        ...

    def take_received(self) -> bytes:
        """What the programmer has sent since the last call."""
        ...

    def send(self, data: bytes, /) -> None:
        """Put bytes on the line; never blocks."""
        ...


class Tap(WakingLoop):
    """Carries bytes both ways between a port and the line to a pump, and records them, until somebody says stop.

    Port, line and recorder are whose they were: who made them closes them, after `close`.
    """

    def __init__(self, near: NearPort, far: DescriptorChannel, recorder: ClockedRecorder) -> None:
        super().__init__()
        self._near = near
        self._far = far
        self._recorder = recorder
        self.passed_bytes = dict.fromkeys(Way, 0)
        """How much went through, each way."""
        self.dropped_bytes = dict.fromkeys(Way, 0)
        """How much did not, since its receiver took none."""
        self._waiting = b""
        self._far_events = selectors.EVENT_READ
        self.selector.register(far.fileno(), self._far_events, self._far_ready)
        near.attach(self.selector)

    def run(self) -> None:
        """Serve until `stop`. BenchLost where a side hangs up for good."""
        while not self.is_stopping:
            self.turn()
            self._take_from_programmer()
            self._look_for_dropped(Way.FROM_PUMP, self._near.dropped_bytes)

    def _take_from_programmer(self) -> None:
        data = self._near.take_received()
        if not data:
            return
        if len(self._waiting) + len(data) > WAITING_MAX_BYTES:
            self._look_for_dropped(Way.TO_PUMP, self.dropped_bytes[Way.TO_PUMP] + len(data))
            return
        self._waiting += data
        self._give_to_pump()
        self._keep(Way.TO_PUMP, data)

    def _give_to_pump(self) -> None:
        self._waiting = self._waiting[self._far.offer(self._waiting) :]
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._waiting else 0)
        if events != self._far_events:
            self._far_events = events
            self.selector.modify(self._far.fileno(), events, self._far_ready)

    def _far_ready(self, events: int) -> None:
        if events & selectors.EVENT_WRITE:
            self._give_to_pump()
        if events & selectors.EVENT_READ:
            data = self._far.receive(0)
            if data:
                self._near.send(data)
                self._keep(Way.FROM_PUMP, data)

    def _keep(self, way: Way, data: bytes) -> None:
        self.passed_bytes[way] += len(data)
        self._recorder.passed(way, data)

    def _look_for_dropped(self, way: Way, dropped_bytes: int) -> None:
        """Mark what has been dropped since the last look."""
        more = dropped_bytes - self.dropped_bytes[way]
        if more:
            self.dropped_bytes[way] = dropped_bytes
            receiver = "the pump" if way is Way.TO_PUMP else "the programmer"
            self._recorder.mark(DROPPED, f"{more} bytes for {receiver}, which takes none")
