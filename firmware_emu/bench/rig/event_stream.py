"""The stream of events of rig control: what happens to the pump, to each reader at the pace at which it reads.

Nothing is queued for a reader: it has a mark in the trace, and takes a page from there when it has room. What the trace
has lost by then is told as a number. So a reader that does not read costs nothing, and holds up nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from fastapi.sse import ServerSentEvent

from firmware_emu.bench.errors import ClosingError
from firmware_emu.bench.event_words import shown
from firmware_emu.bench.rig import models

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from concurrent.futures import Future

    from firmware_emu.bench.command_queue import CommandQueue
    from firmware_emu.bench.runner import Runner
    from firmware_emu.bench.trace_ring import TracePage
    from firmware_emu.events import TraceEntry

PAGE_ENTRIES = 100


def event_of(entry: TraceEntry) -> models.Event:
    """An entry of the trace as rig control tells it."""
    return models.Event(**shown(entry)._asdict())


class EventStream:
    """One reader of the trace, from a mark on."""

    def __init__(self, command_queue: CommandQueue[Runner], mark: int) -> None:
        self._command_queue = command_queue
        self._mark = mark
        self._loop = asyncio.get_running_loop()
        self._more = asyncio.Event()

    async def told(self) -> AsyncIterator[ServerSentEvent]:
        """What has happened, as long as somebody reads and the bench is there."""
        try:
            while True:
                self._more.clear()
                page = await asyncio.wrap_future(self._command_queue.leave(self._look))
                if page.lost:
                    yield _told("lost", models.EventsLost(lost=page.lost), page.first)
                for number, entry in enumerate(page.entries, page.first + 1):
                    yield _told("event", event_of(entry), number)
                self._mark = page.next
                if not page.entries:
                    await self._more.wait()
        except ClosingError:
            yield ServerSentEvent(event="end", raw_data="{}")
        finally:
            self._command_queue.leave(self._forget)

    def _look(self, runner: Runner, future: Future[TracePage]) -> None:
        """In the runner's thread: what there is, or a word when there is something."""
        assert runner.host.ring is not None, "rig control without a trace"  # noqa: S101 - a mistake of the bench
        page = runner.host.ring.since(self._mark, PAGE_ENTRIES)
        if not page.entries:
            runner.trace_readers[self] = self._wake
        future.set_result(page)

    def _forget(self, runner: Runner, future: Future[None]) -> None:
        runner.trace_readers.pop(self, None)
        future.set_result(None)

    def _wake(self) -> None:
        with contextlib.suppress(RuntimeError):  # a loop that is closed has no readers any more
            self._loop.call_soon_threadsafe(self._more.set)


def _told(kind: str, said: models.Event | models.EventsLost, mark: int) -> ServerSentEvent:
    """An event of the stream; its id is the mark to go on from."""
    return ServerSentEvent(event=kind, raw_data=said.model_dump_json(), id=str(mark))
