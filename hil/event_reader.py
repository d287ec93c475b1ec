"""The stream of events of a rig control, read one by one: server-sent events, by the standard library alone."""

from __future__ import annotations

import http.client
import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self

from hil.errors import BenchLost
from hil.rig import LostEvents, RigEvent
from hil.rig_answers import parsed, place_of, refusal, row

if TYPE_CHECKING:
    from collections.abc import Iterator

EVENT_STREAM = "text/event-stream"
SILENT_S = 60.0
"""A stream without events has a sign of life every 15 s; one that has none for so long has no bench behind it."""
LINE_MAX_BYTES = 1 << 20  # no event is so long


class EventReader:
    """An iterator over what happens, begun when it is made. Ends as the bench ends in good order; else BenchLost."""

    def __init__(self, url: str, path: str, token: str, wait_s: float | None) -> None:
        self._url = url
        self._what = f"GET {path}"
        self._gives_up = wait_s is not None
        host, port = place_of(url)
        self._connection = http.client.HTTPConnection(host, port, timeout=SILENT_S)
        self._ended = False
        self._response: http.client.HTTPResponse | None = None
        try:
            self._connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
            self._response = response = self._connection.getresponse()
            told = None if response.headers.get_content_type() == EVENT_STREAM else response.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise self._lost(error) from error
        if told is not None:
            self.close()
            if response.status >= HTTPStatus.BAD_REQUEST:
                raise refusal(response.status, parsed(told), self._what, url)
            raise self._no_stream("no stream of events")
        if wait_s is not None and self._connection.sock is not None:
            self._connection.sock.settimeout(max(wait_s, 0.001))

    def __iter__(self) -> Iterator[RigEvent | LostEvents]:
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def __next__(self) -> RigEvent | LostEvents:
        if self._ended:
            raise StopIteration
        try:
            kind, data = self._next_event()
            if kind == "lost":
                return LostEvents(int(data["lost"]))
            if kind == "event":
                return row(RigEvent, data)
        except TimeoutError as error:
            self.close()
            if not self._gives_up:
                raise self._lost(error) from error
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise self._lost(error) from error
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            self.close()
            raise self._no_stream(f"{type(error).__name__}: {error}") from error
        self.close()
        raise StopIteration

    def close(self) -> None:
        """Hang up; nothing more comes."""
        self._ended = True
        if self._response is not None:
            self._response.close()
        self._connection.close()

    def _next_event(self) -> tuple[str, dict[str, Any]]:
        """The next event: its kind and its data. ConnectionError where the stream breaks off."""
        fields: dict[str, str] = {}
        assert self._response is not None  # noqa: S101 - it was read before this was made
        while line := self._response.readline(LINE_MAX_BYTES):
            text = line.decode().rstrip("\r\n")
            if text:
                name, _, value = text.partition(":")
                fields[name] = value.removeprefix(" ")  # a name of "" is a comment: a sign of life
            elif "data" in fields:
                data: dict[str, Any] = json.loads(fields["data"])
                return fields.get("event", "event"), data
            else:
                fields = {}
        raise ConnectionError("the stream broke off")

    def _no_stream(self, why: str) -> BenchLost:
        return BenchLost(
            f"what is at {self._url} answered {self._what} with something else than a rig control does ({why})",
            advice="use the address of the ready line, and an emulator of this version",
        )

    def _lost(self, error: Exception) -> BenchLost:
        return BenchLost(
            f"rig control at {self._url} does not answer {self._what} any more ({error or type(error).__name__})",
            advice="check that the emulator runs",
        )
