"""A channel on a raw file descriptor: what a serial port, a PTY and a socket have in common once they are open."""

from __future__ import annotations

import os
import select
import threading
import time
from typing import TYPE_CHECKING

from hil.channel import Channel
from hil.errors import BenchLost, InUse, LinkError, PumpbenchError

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.targets.reset import ControlLines

READ_BYTES = 4096
WRITE_LIMIT_MS = 2_000  # 250 bytes take 22 ms at 115200 baud; a line that takes nothing for 2 s is dead
NS_PER_MS = 1_000_000


class DescriptorChannel(Channel):
    """Reads what is there as soon as it is there; never waits for more than the first byte."""

    def __init__(
        self,
        descriptor: int,
        name: str,
        close: Callable[[], None],
        device_ms: Callable[[], int | None] | None = None,
        *,
        somebody_listens: Callable[[], bool] | None = None,
        lines: ControlLines | None = None,
    ) -> None:
        """`somebody_listens` tells, of a line for one client, whether its other end is still there.

        `lines` are its modem lines; None where it has none.
        """
        self.lines = lines
        self._descriptor = descriptor
        self._name = name
        self._close = close
        self._closed = False
        self._device_ms = device_ms
        self._sent_bytes = 0
        self._silent_so_far = True
        self._somebody_listens = somebody_listens
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)
        self._wake: tuple[int, int] | None = None
        self._cut: PumpbenchError | None = None
        self._ending = threading.Lock()  # who cuts the line must not meet its number in other hands
        self.moved_bytes = 0
        """Bytes that went either way so far."""

    @property
    def sent_bytes(self) -> int:
        return self._sent_bytes

    def now_ms(self) -> int:
        """The host's monotonic clock."""
        return time.monotonic_ns() // NS_PER_MS

    def device_ms(self) -> int | None:
        """The pump's time, where the rig told it."""
        return self._device_ms() if self._device_ms else None

    def send(self, data: bytes) -> None:
        """Write everything; a line that does not take it within two seconds is dead."""
        view = memoryview(data)
        while view:
            written = self.offer(view)
            if not written:
                self._wait_writable()
            view = view[written:]

    def offer(self, data: bytes | memoryview) -> int:
        """Put as much of `data` on the line as it takes without waiting; returns how many bytes that were."""
        self._check_open()
        try:
            written = os.write(self._descriptor, data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise self._lost(error) from error
        self._sent_bytes += written
        self.moved_bytes += written
        return written

    def fileno(self) -> int:
        """The descriptor, for who waits on several lines."""
        return self._descriptor

    def receive(self, deadline_ms: int) -> bytes:
        self._check_open()
        wait_ms = max(0, deadline_ms - self.now_ms())
        if not self._poll.poll(wait_ms):
            return b""
        self._check_open()
        try:
            data = os.read(self._descriptor, READ_BYTES)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise self._lost(error) from error
        if data:
            self._silent_so_far = False
            self.moved_bytes += len(data)
            return data
        raise self._lost(None)

    def close(self) -> None:
        with self._ending:
            if self._closed:
                return
            self._closed = True
            self._close()
            for end in self._wake or ():
                os.close(end)

    def may_be_cut(self) -> None:
        """Prepare for `cut`: who waits on this line is then woken by it."""
        if self._wake is None:
            self._wake = os.pipe()
            self._poll.register(self._wake[0], select.POLLIN)

    def cut(self, error: PumpbenchError) -> None:
        """Take the line away from whoever uses it, from another thread: all further calls raise `error`, at once.

        The port itself is free for others from here on, whenever its user comes to close it.
        """
        self._cut = error
        with self._ending:
            if self._wake is None or self._closed:
                return
            nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
            os.dup2(
                nowhere, self._descriptor, inheritable=False
            )  # no other file can get its number in between
            os.close(nowhere)
            os.write(self._wake[1], b"!")

    def _check_open(self) -> None:
        if self._cut is not None:
            raise self._cut
        if self._closed:
            raise BenchLost(f"{self._name} was closed", advice="open the channel again")

    def _wait_writable(self) -> None:
        writable = select.poll()
        writable.register(self._descriptor, select.POLLOUT)
        if not writable.poll(WRITE_LIMIT_MS):
            raise LinkError(
                f"{self._name} takes no bytes", advice="check that something reads at its other end"
            )

    def _lost(self, error: OSError | None) -> PumpbenchError:
        """Who hung up: a pump that has its client already does so before its first byte, by whatever error."""
        if self._cut is not None:
            return self._cut
        if self._silent_so_far and self._somebody_listens is not None and self._somebody_listens():
            return InUse(
                f"{self._name} closed the line before its first byte: one line a pump, and it has its client",
                advice="close the other program and try again",
            )
        why = f" ({error.strerror})" if error and error.strerror else ""
        return BenchLost(
            f"{self._name} hung up{why}: the emulator or board behind it is gone",
            advice="start it again",
        )
