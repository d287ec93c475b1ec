"""A line that can be taken away from its user from another thread, whatever kind of line it is.

Lines on a descriptor can do so themselves, at once (`DescriptorChannel.cut`); any other is waited on in short steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from hil.channel import Channel

if TYPE_CHECKING:
    from hil.errors import PumpbenchError
    from hil.targets.reset import ControlLines

STEP_MS = 100


@runtime_checkable
class CuttableLine(Protocol):
    """What a lease wants of the line to its board."""

    @property
    def moved_bytes(self) -> int:
        """Bytes that went either way so far."""
        ...

    @property
    def lines(self) -> ControlLines | None:
        """Its modem lines; None where it has none."""
        ...

    def may_be_cut(self) -> None:
        """Prepare for `cut`."""
        ...

    def cut(self, error: PumpbenchError) -> None:
        """Let all further calls raise `error`, also one that waits now."""
        ...


class CuttableChannel(Channel):
    """Another channel, waited on in short steps, so that it can be cut in between."""

    def __init__(self, inner: Channel) -> None:
        self._inner = inner
        self._cut: PumpbenchError | None = None
        self.moved_bytes = 0
        self.lines: ControlLines | None = getattr(inner, "lines", None)

    @property
    def sent_bytes(self) -> int:
        return self._inner.sent_bytes

    def now_ms(self) -> int:
        """The time of the inner channel."""
        return self._inner.now_ms()

    def device_ms(self) -> int | None:
        """The pump's time, where the inner channel knows it."""
        return self._inner.device_ms()

    def send(self, data: bytes) -> None:
        self._check()
        self._inner.send(data)
        self.moved_bytes += len(data)

    def receive(self, deadline_ms: int) -> bytes:
        while True:
            self._check()
            now_ms = self.now_ms()
            data = self._inner.receive(min(deadline_ms, now_ms + STEP_MS))
            self._check()
            if data or now_ms >= deadline_ms:
                self.moved_bytes += len(data)
                return data

    def close(self) -> None:
        self._inner.close()

    def may_be_cut(self) -> None:
        """It is prepared always."""

    def cut(self, error: PumpbenchError) -> None:
        """Let all further calls raise `error`, and who waits now within a tenth of a second."""
        self._cut = error

    def _check(self) -> None:
        if self._cut is not None:
            raise self._cut
