"""Rig control from any process: the HTTP client of a bench, with the standard library alone.

One connection, kept, for one thread at a time: others wait. A bench that does not answer is lost; what it refuses is
told in its own sentence. A client with a name has the bench to itself: what it injected is cleared by the bench where
the client dies before it has closed.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import quote

from hil.errors import BadConfiguration, BenchLost, PumpbenchError, UsageError
from hil.event_reader import EventReader
from hil.rig import (
    FaultOrder,
    FaultParameter,
    FaultStart,
    Rig,
    RigClock,
    RigEvent,
    RigFault,
    RigProfile,
    RigState,
    RigTone,
    RigTrace,
    RunResult,
    Weighing,
    check_said,
    waited_s,
    weighed,
    whole,
)
from hil.rig_answers import parsed, place_of, refusal, row
from hil.rig_snapshots import RigRestored, RigSnapshot, document_of_snapshot, name_of_snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Unpack

    from hil.rig import Awaited

Row = TypeVar("Row")
Result = TypeVar("Result")

TIMEOUT_S = 120.0  # years of virtual time may pass in one request
RELEASE_LIMIT_S = 5.0  # a bench that hangs must not hold up the end; the lease ends by itself
LEASE_S = 600
"""Host seconds of a lease: half of it may pass between two requests; a bench is free so long after its rig has died."""


class LeaseState(NamedTuple):
    """Who has a bench to itself, and for how long by the host's clock; None where nobody has."""

    who: str | None
    left_ms: int | None


class _Page(NamedTuple):
    """A page of a trace: `next` is where the next begins, `end` where the trace does."""

    events: tuple[RigEvent, ...]
    lost: int
    next: int
    end: int


class RigClient(Rig):
    """The rig of a bench that runs elsewhere."""

    def __init__(
        self,
        url: str,
        token: str,
        timeout_s: float = TIMEOUT_S,
        *,
        who: str | None = None,
        lease_s: int = LEASE_S,
        lease: str | None = None,
    ) -> None:
        """With `who`, the first request takes a lease in that name, and later ones renew it where half of it is over.

        With `lease`, the id of one that was taken, the bench is used under that, and closing does not end it. Without
        either the bench is shared with everybody who has the token, and refuses what somebody has leased.
        """
        for name, value in (("url", url), ("token", token)):
            if not isinstance(value, str):
                raise UsageError(f"{name} is {type(value).__name__}, and text is expected")
        host, port = place_of(url)
        if not (token.isascii() and token.isprintable()):
            raise BadConfiguration(
                "the token of a rig control is ASCII, and this is not (it is not shown)",
                advice="use the token of the ready line",
            )
        self._url = url
        self._token = token
        self._connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
        self._turn = threading.RLock()
        self._closed = False
        self._who = who
        self._lease_s = lease_s
        if lease is not None and not (lease.isascii() and lease.isalnum()):
            raise UsageError(
                "the id of a lease is letters and digits", advice="use what `lease take` printed"
            )
        self._lease = lease
        self._keeps_lease = lease is not None
        self._renew_at_s = 0.0
        self.last_now_ms: int | None = None

    def state(self) -> RigState:
        return self._request("GET", "/v1/state", read=_reader_of(RigState))

    def weigh(self) -> Weighing:
        return weighed(self.state())

    def clock(self) -> RigClock:
        return self._request("GET", "/v1/clock", read=_reader_of(RigClock))

    def set_speed(self, speed: int) -> RigClock:
        return self._request("PUT", "/v1/clock", {"speed": speed}, read=_reader_of(RigClock))

    def set_mode(self, mode: str) -> RigClock:
        """Change how time runs: real, manual."""
        return self._request("PUT", "/v1/clock", {"mode": mode}, read=_reader_of(RigClock))

    def advance(self, duration_ms: int, after_received: int | None = None) -> int:
        body = {"ms": duration_ms} | _given(after_received=after_received)
        return self._request("POST", "/v1/clock/advance", body, read=lambda answer: int(answer["now_ms"]))

    def run_until(self, what: str, limit_ms: int, **said: Unpack[Awaited]) -> RunResult:
        check_said(said)

        def read(answer: Mapping[str, Any]) -> RunResult:
            events = tuple(row(RigEvent, event) for event in answer["events"])
            return RunResult(answer["now_ms"], answer["reached"], events, answer["value"])

        body = {"what": what, "limit_ms": limit_ms, **said}
        return self._request("POST", "/v1/clock/run-until", body, read=read)

    def mark(self) -> int:
        return self._request("GET", "/v1/trace", read=lambda answer: int(answer["mark"]))

    def trace(self, since: int = 0) -> RigTrace:
        events: list[RigEvent] = []
        lost, mark, end = 0, whole("since", since), None
        while end is None or mark < end:
            page = self._request("GET", f"/v1/trace/{mark}", read=_read_page)
            events += page.events
            lost += page.lost
            end = page.end if end is None else end  # what has happened by now, however fast more comes
            mark = page.next
        return RigTrace(tuple(events), lost, mark)

    def events(self, since: int | None = None, wait_s: float | None = None) -> EventReader:
        """What happens, on a connection of its own, which `close` ends."""
        path = "/v1/events" if since is None else f"/v1/events/{whole('since', since)}"
        return EventReader(self._url, path, self._token, waited_s(wait_s))

    def profile(self) -> RigProfile:
        def read(answer: Mapping[str, Any]) -> RigProfile:
            return row(RigProfile, answer)._replace(vendor_messages=tuple(answer["vendor_messages"]))

        return self._request("GET", "/v1/profile", read=read)

    def lease(self) -> LeaseState:
        """Who has the bench to itself."""
        return self._request("GET", "/v1/lease", read=_reader_of(LeaseState))

    def take_lease(self, who: str, seconds: int) -> str:
        """Have the bench to oneself for so long, or renew that; returns the id of the lease, for other clients too."""
        self._keeps_lease = True  # until it is released, or its time is over
        self._lease = self._request(
            "PUT", "/v1/lease", {"who": who, "seconds": seconds}, read=lambda answer: str(answer["lease"])
        )
        return self._lease

    def release_lease(self) -> None:
        """Let go of the bench; the faults stay."""
        self._request("DELETE", "/v1/lease", read=_nothing)
        self._lease = None

    def power_cut(self, after_writes: int | None = None, torn_after_bytes: int | None = None) -> None:
        body = _given(after_writes=after_writes, torn_after_bytes=torn_after_bytes)
        self._request("POST", "/v1/power/cut", body, read=_nothing)

    def power_restore(self, off_ms: int = 0) -> bool:
        return self._request(
            "POST", "/v1/power/restore", {"off_ms": off_ms}, read=lambda answer: bool(answer["was_off"])
        )

    def aspirate(self, volume_nl: int | None = None) -> int:
        return self._request("POST", "/v1/syringe/aspirate", _given(nl=volume_nl), read=_read_nl)

    def fill(self, volume_nl: int, concentration_ng_per_ml: int | None = None) -> int:
        body = {"nl": volume_nl} | _given(concentration_ng_per_ml=concentration_ng_per_ml)
        return self._request("POST", "/v1/syringe/fill", body, read=_read_nl)

    def faults(self) -> tuple[RigFault, ...]:
        def read(answer: Mapping[str, Any]) -> tuple[RigFault, ...]:
            return tuple(
                row(
                    RigFault,
                    fault
                    | {
                        "parameters": tuple(row(FaultParameter, each) for each in fault["parameters"]),
                        "order": None if fault["order"] is None else _order_of(fault["order"]),
                    },
                )
                for fault in answer["faults"]
            )

        return self._request("GET", "/v1/faults", read=read)

    def inject(
        self,
        fault: str,
        start: FaultStart | None = None,
        *,
        for_ms: int | None = None,
        every_ms: int | None = None,
        times: int = 1,
        **parameters: int,
    ) -> None:
        if start is not None and not isinstance(start, FaultStart):
            raise UsageError(f"a fault starts at a FaultStart, not at {start!r}")
        body = {"on": True, "parameters": parameters} | _given(
            start=None if start is None else start._asdict(),
            for_ms=for_ms,
            every_ms=every_ms,
            times=None if times == 1 else times,
        )
        self._request("PUT", _path_of_fault(fault), body, read=_nothing)

    def clear(self, fault: str) -> None:
        self._request("PUT", _path_of_fault(fault), {"on": False}, read=_nothing)

    def tones(self) -> tuple[RigTone, ...]:
        return self._request(
            "GET", "/v1/tones", read=lambda answer: tuple(row(RigTone, each) for each in answer["tones"])
        )

    def snapshot(self, name: str) -> RigSnapshot:
        return self._request("PUT", _path_of_snapshot(name), {}, read=_reader_of(RigSnapshot))

    def snapshots(self) -> tuple[RigSnapshot, ...]:
        def read(answer: Mapping[str, Any]) -> tuple[RigSnapshot, ...]:
            return tuple(row(RigSnapshot, each) for each in answer["snapshots"])

        return self._request("GET", "/v1/snapshots", read=read)

    def restore(self, name: str, memory_id: int | None = None) -> RigRestored:
        def read(answer: Mapping[str, Any]) -> RigRestored:
            return RigRestored(int(answer["now_ms"]), int(answer["memory_id"], 16))

        body = _given(memory_id=None if memory_id is None else f"{whole('memory_id', memory_id):x}")
        return self._request("POST", f"{_path_of_snapshot(name)}/restore", body, read=read)

    def forget(self, name: str) -> None:
        self._request("DELETE", _path_of_snapshot(name), read=_nothing)

    def read_snapshot(self, name: str) -> dict[str, Any]:
        return self._request("GET", _path_of_snapshot(name), read=dict)

    def put_snapshot(self, name: str, document: Mapping[str, Any]) -> RigSnapshot:
        body = {"snapshot": document_of_snapshot(document)}
        return self._request("PUT", _path_of_snapshot(name), body, read=_reader_of(RigSnapshot))

    def shutdown(self) -> None:
        self._request("POST", "/v1/shutdown", {}, read=_nothing)
        self._lease = None

    def close(self) -> None:
        """Let go of the bench and close the connection; the faults stay. A later request is a UsageError."""
        with self._turn:
            self._closed = True
            if self._lease is not None and not self._keeps_lease:
                self._connection.timeout = RELEASE_LIMIT_S
                if self._connection.sock is not None:
                    self._connection.sock.settimeout(RELEASE_LIMIT_S)
                with contextlib.suppress(PumpbenchError):  # a bench that is gone has no lease any more
                    self._ask("DELETE", "/v1/lease", None, _nothing)
                self._lease = None
            self._connection.close()

    def _keep_lease(self) -> None:
        """Take the lease that is wanted, or renew it where half of its time is over."""
        now_s = time.monotonic()
        if self._who is None or (self._lease is not None and now_s < self._renew_at_s):
            return
        body = {"who": self._who, "seconds": self._lease_s}
        self._lease = self._ask("PUT", "/v1/lease", body, lambda answer: str(answer["lease"]))
        self._renew_at_s = now_s + self._lease_s / 2

    def _request(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        *,
        read: Callable[[Mapping[str, Any]], Result],
    ) -> Result:
        """What `read` makes of the answer to a request, made with the lease where one is wanted."""
        with self._turn:
            if self._closed:
                raise UsageError(
                    f"{method} {path} cannot be asked of a rig that was closed",
                    advice="nothing was sent; open it anew",
                )
            self._keep_lease()
            return self._ask(method, path, body, read)

    def _ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None,
        read: Callable[[Mapping[str, Any]], Result],
    ) -> Result:
        """What `read` makes of the answer to a request; BenchLost where the answer is none to it."""
        headers = {"Authorization": f"Bearer {self._token}"}
        if self._lease is not None:
            headers["Pumpbench-Lease"] = self._lease
        content = None
        if body is not None:
            content = _json_of(body, f"{method} {path}")
            headers["Content-Type"] = "application/json"
        try:
            self._connection.request(method, path, body=content, headers=headers)
            response = self._connection.getresponse()
            status, text = response.status, response.read()
        except (OSError, UnicodeError, http.client.HTTPException) as error:
            self._connection.close()
            raise BenchLost(
                f"rig control at {self._url} does not answer ({error or type(error).__name__})",
                advice="check that the emulator runs",
            ) from error
        answer = parsed(text)
        if status >= HTTPStatus.BAD_REQUEST:
            raise refusal(status, answer, f"{method} {path}", self._url)
        try:
            now_ms = answer.get("now_ms")
            self.last_now_ms = int(now_ms) if now_ms is not None else self.last_now_ms
            return read(answer)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BenchLost(
                f"what is at {self._url} answered {method} {path} with something else than a rig control does"
                f" ({type(error).__name__}: {error})",
                advice="use the address of the ready line, and an emulator of this version",
            ) from error


def _json_of(body: Mapping[str, object], what: str) -> bytes:
    """A body as JSON; UsageError for values of which JSON has no like, before anything is sent."""
    try:
        return json.dumps(body, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"{what} cannot be asked of a rig: {error}", advice="nothing was sent") from error


def _path_of_fault(fault: str) -> str:
    """Where a fault is; UsageError where its name is no text."""
    if not isinstance(fault, str):
        raise UsageError(f"the name of a fault is text, and this is {type(fault).__name__}")
    return f"/v1/faults/{quote(fault, safe='')}"


def _path_of_snapshot(name: str) -> str:
    """Where a snapshot is; UsageError where its name is no text."""
    return f"/v1/snapshots/{quote(name_of_snapshot(name), safe='')}"


def _order_of(answer: Mapping[str, Any]) -> FaultOrder:
    return row(FaultOrder, {**answer, "start": row(FaultStart, answer["start"])})


def _read_page(answer: Mapping[str, Any]) -> _Page:
    events = tuple(row(RigEvent, event) for event in answer["entries"])
    return _Page(events, int(answer["lost"]), int(answer["next"]), int(answer["mark"]))


def _nothing(_answer: Mapping[str, Any]) -> None:
    """Nothing of the answer is wanted."""


def _read_nl(answer: Mapping[str, Any]) -> int:
    return int(answer["nl"])


def _reader_of(kind: type[Row]) -> Callable[[Mapping[str, Any]], Row]:
    """A function that reads a named tuple from an answer."""
    return lambda answer: row(kind, answer)


def _given(**fields: object) -> dict[str, object]:
    """The fields that are not None."""
    return {name: value for name, value in fields.items() if value is not None}
