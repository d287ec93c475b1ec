"""The log of an emulator on stderr, for people: it never waits for a reader, and never fails for want of one.

A pipe that nobody reads fills up, a closed one raises, a full disk refuses: then the sentence is dropped and
counted, and the count is said as soon as there is room again. No pump may stand still for its log.
"""

from __future__ import annotations

import os
import select
import threading

LINE_MAX_BYTES = 1_024  # below PIPE_BUF: a pipe that is ready takes such a line whole, without blocking


class Log:
    """Lines on a descriptor. `say` may be called from any thread."""

    def __init__(self, name: str, descriptor: int = 2) -> None:
        self._name = name
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)
        self._lock = threading.Lock()
        self.dropped = 0
        """Sentences that nobody got to see since the last one that was written."""

    def say(self, sentence: str) -> None:
        """Write one sentence, or drop and count it."""
        with self._lock:
            lost = f"({self.dropped} lines before this one were dropped: nobody read them) "
            if self._write(f"{self._name}: {lost if self.dropped else ''}{sentence}"):
                self.dropped = 0
            else:
                self.dropped += 1

    def _write(self, line: str) -> bool:
        plain = "".join(
            c if c.isprintable() else c.encode("unicode-escape").decode() for c in line.replace("\n", " ")
        )
        data = plain.encode()[: LINE_MAX_BYTES - 1] + b"\n"
        try:
            ready = self._poll.poll(0)
            return bool(ready) and os.write(self._descriptor, data) == len(data)
        except OSError:
            return False
