"""Rig control over HTTP: what any language can ask of the bench; `/openapi.json` describes it. The only FastAPI here.

Each request becomes a job for the runner's thread and waits for its answer. Every refusal is a JSON
object `{"error": sentence}`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator  # noqa: TC003 - FastAPI reads the hints
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from fastapi import APIRouter, Body, Depends, FastAPI, Header, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from firmware_emu.awaited import UNSAID, AwaitedCondition, AwaitedError, awaited
from firmware_emu.bench.clock import MANUAL, REAL, Pace
from firmware_emu.bench.errors import BenchError, BenchLostError, LeasedError, NotNowError
from firmware_emu.bench.rig import actions, models
from firmware_emu.bench.rig.event_stream import EventStream, event_of
from firmware_emu.bench.rig.guard import Guard, refused
from firmware_emu.bench.rig.http_protocol import ENDLESS
from firmware_emu.bench.snapshot import read_snapshot
from firmware_emu.bench.snapshot_shelf import NAME, KeptSnapshot
from firmware_emu.bench.trace_ring import PAGE_ENTRIES
from firmware_emu.faults.fault import COUNT_MAX
from firmware_emu.faults.orders import NOW, At, Start
from firmware_emu.units import MS_PER_S

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from concurrent.futures import Future

    from fastapi.responses import JSONResponse

    from firmware_emu.awaited import Awaited
    from firmware_emu.bench.command_queue import CommandQueue
    from firmware_emu.bench.rig.connections import Connections
    from firmware_emu.bench.runner import Runner
    from firmware_emu.bench.time_run import TimeRun
    from firmware_emu.bench.trace_ring import TracePage
    from firmware_emu.faults.orders import Order

Result = TypeVar("Result")


class RunnerProxy:
    """The way from a request to the runner's thread and back, for looking or (with `changes`) for changing something.

    What changes something is for the holder of the lease alone, where there is one.
    """

    def __init__(
        self, command_queue: CommandQueue[Runner], lease_id: str | None = None, *, changes: bool = False
    ) -> None:
        self._command_queue = command_queue
        self._changes = changes
        self.lease_id = lease_id

    async def do(self, action: Callable[[Runner], Result]) -> tuple[Result, int]:
        """Run an action between two steps of the pump; returns its result, and the pump's time after it in ms."""

        def job(runner: Runner, future: Future[tuple[Result, int]]) -> None:
            self._check(runner)
            future.set_result((action(runner), runner.host.pump.now_ms))

        return await asyncio.wrap_future(self._command_queue.leave(job))

    async def travel(self, ms: int, until: Awaited | None = None, after_received: int = 0) -> TimeRun:
        """Let time pass; returns when it has passed."""

        def job(runner: Runner, future: Future[TimeRun]) -> None:
            self._check(runner)
            runner.start_run(ms, until, after_received, future)

        return await asyncio.wrap_future(self._command_queue.leave(job))

    def _check(self, runner: Runner) -> None:
        if self._changes:
            runner.lease.check(self.lease_id)


LeaseId = Annotated[
    str | None, Header(alias="Pumpbench-Lease", description="the `lease` that PUT /v1/lease gave, if any")
]


async def _looking(request: Request) -> RunnerProxy:
    return RunnerProxy(request.app.state.command_queue)


async def _changing(request: Request, lease: LeaseId = None) -> RunnerProxy:
    return RunnerProxy(request.app.state.command_queue, lease, changes=True)


Here = Annotated[RunnerProxy, Depends(_looking)]
Changing = Annotated[RunnerProxy, Depends(_changing)]
Since = Annotated[int, Path(ge=0, le=COUNT_MAX, description="a mark, as GET /v1/trace tells it")]


async def _stream_from_now(request: Request, door: Here) -> EventStream:
    mark, _ = await door.do(actions.trace_mark)
    request.scope["state"][ENDLESS] = True
    return EventStream(request.app.state.command_queue, mark)


async def _stream_since(request: Request, door: Here, since: Since) -> EventStream:
    await door.do(lambda runner: actions.trace(runner, since, 0))  # that it is a mark
    request.scope["state"][ENDLESS] = True
    return EventStream(request.app.state.command_queue, since)


# Bodies of which every field is optional may be left out.
PowerCut = Annotated[models.PowerCut, Body(default_factory=models.PowerCut)]
PowerRestore = Annotated[models.PowerRestore, Body(default_factory=models.PowerRestore)]
Aspirate = Annotated[models.Aspirate, Body(default_factory=models.Aspirate)]
SnapshotWanted = Annotated[models.SnapshotWanted, Body(default_factory=models.SnapshotWanted)]
RestoreWanted = Annotated[models.RestoreWanted, Body(default_factory=models.RestoreWanted)]
SnapshotName = Annotated[str, Path(pattern=f"^{NAME}$", description="the name of a snapshot")]
Nothing = Annotated[models.Nothing, Body(default_factory=models.Nothing)]
REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": models.Error, "description": why}
    for status, why in {
        400: "bytes that are no HTTP, a body of two lengths or that cannot be read, or a header sent twice",
        401: "no token, or a wrong one",
        403: "a name or a web page that is not the bench's",
        404: "no such path",
        405: "a path that has no such method",
        409: "not in the present state of the bench",
        411: "a body in pieces, or with a length that is none",
        413: "a body that is too long",
        415: "a body that does not say that it is JSON",
        422: "a body that is not as described, or that the plant cannot take",
        423: "another controller has the bench to itself: who, and for how long",
        429: "too many wrong tokens",
        500: "a fault of the bench",
        503: "a bench that has lost its image, or that serves too many others",
    }.items()
}
STATUS = {NotNowError: 409, LeasedError: 423, BenchLostError: 503}
"""The status of a refusal of the bench; 422 of any other."""


async def _sent_twice(request: Request) -> str | None:
    """A name that one object of the body has twice; None where none has, or where the body is no JSON.

    HTTPException where it is JSON of a kind that nobody reads.
    """
    twice: list[str] = []

    def look(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        twice.extend(name for name in names if names.count(name) > 1)
        return dict(pairs)

    try:
        json.loads(await request.body(), object_pairs_hook=look)
    except ClientDisconnect as gone:
        raise HTTPException(400, "the body did not come whole") from gone
    except json.JSONDecodeError:
        return None  # told by whoever reads it
    except UnicodeDecodeError as error:
        why = f"byte {error.start} of the body is not UTF-8, in which JSON is sent"
        raise HTTPException(400, why) from error
    except ValueError as error:
        why = (
            f"a number in the body has more than {sys.get_int_max_str_digits()} digits, and no field takes it"
        )
        raise HTTPException(400, why) from error
    except RecursionError as error:
        why = "the body is nested deeper than can be read, and no field takes objects in objects"
        raise HTTPException(400, why) from error
    return twice[0] if twice else None


class JsonRoute(APIRoute):
    """A route whose body says that it is JSON, where there is one: what a form of a web page sends cannot say so."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """What FastAPI makes of the function, behind a look at the headers."""
        handle = super().get_route_handler()

        async def handle_json(request: Request) -> Response:
            media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
            has_body = request.headers.get("content-length", "0") != "0"
            if self.body_field is not None and has_body and media_type != "application/json":
                sentence = "send JSON, and say so: Content-Type: application/json"
                return refused(415, sentence, {"connection": "close"})
            if request.url.query:
                return refused(422, "no path takes a query; what is asked for stands in the body")
            if self.body_field is not None and has_body:
                twice = await _sent_twice(request)
                if twice is not None:
                    return refused(422, f"{twice}: it is there twice, and one would win unseen")
            return await handle(request)

        return handle_json


router = APIRouter(
    prefix="/v1",
    responses=REFUSALS,
    route_class=JsonRoute,
    # for the description alone: the guard has looked before
    dependencies=[Depends(HTTPBearer(auto_error=False, description="the token of the ready line"))],
)


@router.get("/state")
async def get_state(door: Here) -> models.RigState:
    """What is so and what the pump believes, side by side."""

    def look(runner: Runner) -> models.RigState:
        seen = actions.state(runner)
        port = runner.port
        return models.RigState(
            **seen._asdict(), received_bytes=port.received_bytes, dropped_bytes=port.dropped_bytes
        )

    return (await door.do(look))[0]


@router.get("/clock")
async def get_clock(door: Here) -> models.ClockState:
    """How time runs, and what it is."""
    return (await door.do(_clock))[0]


@router.put("/clock")
async def put_clock(door: Changing, wanted: models.ClockWanted) -> models.ClockState:
    """Let time run at another pace from here on."""

    def change(runner: Runner) -> models.ClockState:
        runner.set_pace(_pace(wanted))
        return _clock(runner)

    return (await door.do(change))[0]


@router.post("/clock/advance")
async def advance(door: Changing, wanted: models.Advance) -> models.Done:
    """Under manual time: let time pass, after all bytes that the client has sent were taken."""
    after_received = 0 if wanted.after_received is None else wanted.after_received
    time_run = await door.travel(wanted.ms, None, after_received)
    return models.Done(now_ms=time_run.end.pump_ms)


@router.post("/clock/run-until")
async def run_until(door: Changing, wanted: models.RunUntil) -> models.Ran:
    """Under manual time: let time pass until something happens, as fast as this machine can."""
    said = wanted.model_dump(include=set(UNSAID), exclude_none=True)
    until = awaited(wanted.what, **said)
    time_run = await door.travel(wanted.limit_ms, until)
    value = None
    if isinstance(until, AwaitedCondition):
        value, _ = await door.do(lambda runner: until.seen(runner.host.pump))
    events = [event_of(entry) for entry in time_run.events]
    return models.Ran(now_ms=time_run.now.pump_ms, reached=time_run.reached, events=events, value=value)


@router.post("/power/cut")
async def cut_power(door: Changing, wanted: PowerCut) -> models.Done:
    """Pull the plug, now or in a memory write to come; it stays out until it is put back."""

    def cut(runner: Runner) -> None:
        if wanted.after_writes is not None:
            actions.arm_power_cut(runner, wanted.after_writes, wanted.torn_after_bytes)
            runner.lease.note(actions.CUT_AT_WRITE)
        elif wanted.torn_after_bytes is not None:
            raise actions.RefusedError(
                "torn_after_bytes says how a write is torn; say which with after_writes"
            )
        else:
            actions.cut_power(runner)

    _, now_ms = await door.do(cut)
    return models.Done(now_ms=now_ms)


@router.post("/power/restore")
async def restore_power(door: Changing, wanted: PowerRestore) -> models.Restored:
    """Put the plug back; an armed cut that did not fire is disarmed."""
    was_off, now_ms = await door.do(lambda runner: actions.restore_power(runner, wanted.off_ms))
    return models.Restored(now_ms=now_ms, was_off=was_off)


@router.post("/syringe/aspirate")
async def aspirate(door: Changing, wanted: Aspirate) -> models.Moved:
    """Draw fluid out of the reservoir; the next REFILL finds it as the syringe left it."""
    nl, now_ms = await door.do(lambda runner: actions.aspirate(runner, wanted.nl))
    return models.Moved(now_ms=now_ms, nl=nl)


@router.post("/syringe/fill")
async def fill(door: Changing, wanted: models.Fill) -> models.Moved:
    """Inject fluid into the reservoir; the next REFILL finds it as the syringe left it."""
    nl, now_ms = await door.do(lambda runner: actions.fill(runner, wanted.nl, wanted.concentration_ng_per_ml))
    return models.Moved(now_ms=now_ms, nl=nl)


@router.get("/faults")
async def get_faults(door: Here) -> models.Faults:
    """What can go wrong with this pump, what it takes, whether it is so, and how often it took effect."""
    found, _ = await door.do(actions.faults)
    faults = [
        models.Fault(
            name=each.fault.name,
            where=each.fault.where,
            summary=each.fault.summary,
            seen_as=each.fault.seen_as,
            parameters=[models.FaultParameter(**row._asdict()) for row in each.fault.parameters],
            on=each.on,
            effects=each.effects,
            order=None if each.order is None else _order(each.order),
        )
        for each in found
    ]
    return models.Faults(faults=faults)


@router.put("/faults/{name}")
async def put_fault(door: Changing, name: str, wanted: models.FaultWanted) -> models.Done:
    """Cause a fault, now or when something has come; or end it, and what was ordered of it."""

    def change(runner: Runner) -> None:
        if wanted.on:
            actions.inject(
                runner,
                name,
                wanted.parameters,
                _start(wanted.start),
                for_ms=wanted.for_ms,
                every_ms=wanted.every_ms,
                times=wanted.times,
            )
            runner.lease.note(name)
        elif wanted != models.FaultWanted(on=False):
            raise actions.RefusedError(f"a fault that ends takes nothing more, and {name} got some")
        else:
            actions.clear(runner, name)

    _, now_ms = await door.do(change)
    return models.Done(now_ms=now_ms)


@router.get("/lease")
async def get_lease(door: Here) -> models.LeaseState:
    """Who has the bench to itself, and for how long."""
    return (await door.do(_lease))[0]


@router.put("/lease")
async def put_lease(door: Changing, wanted: models.LeaseWanted) -> models.LeaseTaken:
    """Take the bench for oneself, or renew that: without the lease's id in the header every other change is refused.

    A lease that ends without having been released clears the faults that were injected under it, never in the middle
    of an advance; power that was cut stays out, and the clock as it was set.
    """

    def take(runner: Runner) -> models.LeaseTaken:
        lease_id = runner.take_lease(wanted.who, wanted.seconds, door.lease_id)
        return models.LeaseTaken(lease=lease_id, **_lease(runner).model_dump())

    return (await door.do(take))[0]


@router.delete("/lease")
async def delete_lease(door: Changing) -> models.LeaseState:
    """Let go of the bench; the faults stay as they are, an advance under way ends. Nothing where nobody has it."""

    def let_go(runner: Runner) -> models.LeaseState:
        runner.release_lease(door.lease_id)
        return _lease(runner)

    return (await door.do(let_go))[0]


@router.get("/tones")
async def get_tones(door: Here) -> models.Tones:
    """What the pump's sounder was heard to play."""
    heard, now_ms = await door.do(actions.tones)
    return models.Tones(now_ms=now_ms, tones=[models.Tone(**tone._asdict()) for tone in heard])


@router.get("/profile")
async def get_profile(door: Here) -> models.ProfileInForce:
    """What this pump was made from, and what the clinic has changed since."""
    seen, now_ms = await door.do(actions.profile)
    return models.ProfileInForce(now_ms=now_ms, **seen._asdict())


@router.get("/trace")
async def get_trace_mark(door: Here) -> models.TraceMark:
    """A mark: the place that this moment has in the trace."""
    mark, now_ms = await door.do(actions.trace_mark)
    return models.TraceMark(now_ms=now_ms, mark=mark)


@router.get("/trace/{since}")
async def get_trace(door: Here, since: Since) -> models.Trace:
    """What has happened since a mark, a page of it: go on at `next` while that is less than `mark`."""

    def look(runner: Runner) -> tuple[TracePage, int]:
        return actions.trace(runner, since, PAGE_ENTRIES), actions.trace_mark(runner)

    (page, mark), now_ms = await door.do(look)
    entries = [event_of(entry) for entry in page.entries]
    return models.Trace(now_ms=now_ms, lost=page.lost, next=page.next, mark=mark, entries=entries)


@router.get("/events", response_class=EventSourceResponse)
async def get_events(
    stream: Annotated[EventStream, Depends(_stream_from_now)],
) -> AsyncIterator[ServerSentEvent]:
    """What happens from now on, as it happens, as server-sent events; the id of each is the mark after it.

    `event` has an entry of the trace, as in Trace; `lost` an EventsLost: this reader was too slow for so many, which
    the trace does not keep any more either; `end` comes last, as the bench ends.
    """
    async for told in stream.told():
        yield told


@router.get("/events/{since}", response_class=EventSourceResponse)
async def get_events_since(
    stream: Annotated[EventStream, Depends(_stream_since)],
) -> AsyncIterator[ServerSentEvent]:
    """The same from a mark on: so a reader goes on that was cut off, from the last id that it has."""
    async for told in stream.told():
        yield told


@router.get("/snapshots")
async def get_snapshots(door: Here) -> models.SnapshotsKept:
    """The snapshots that this bench keeps; they go with it."""
    kept, now_ms = await door.do(lambda runner: runner.snapshots.every)
    return models.SnapshotsKept(
        now_ms=now_ms, snapshots=[models.KeptSnapshot(**_kept(each)) for each in kept]
    )


@router.put("/snapshots/{name}")
async def put_snapshot(door: Changing, name: SnapshotName, wanted: SnapshotWanted) -> models.SnapshotKept:
    """Keep the pump as it is now under a name, with its session and whatever is running; or keep a document."""
    if wanted.snapshot is None:
        kept, now_ms = await door.do(lambda runner: actions.keep_snapshot(runner, name))
    else:
        kept = KeptSnapshot(name, await asyncio.to_thread(read_snapshot, wanted.snapshot))
        _, now_ms = await door.do(lambda runner: runner.snapshots.put(kept))
    return models.SnapshotKept(now_ms=now_ms, **_kept(kept))


@router.get("/snapshots/{name}", response_model=models.SnapshotDocument)
async def get_snapshot(door: Here, name: SnapshotName) -> Response:
    """A snapshot as a document. It holds the keys of the pump and of its session: keep it from others' eyes."""
    kept, _ = await door.do(lambda runner: runner.snapshots.named(name))
    text = await asyncio.to_thread(kept.snapshot.text, name)
    return Response(text, media_type="application/json")


@router.post("/snapshots/{name}/restore")
async def restore_snapshot(
    door: Changing, name: SnapshotName, wanted: RestoreWanted
) -> models.SnapshotRestored:
    """Go on from a snapshot, any number of times, at the pump time of that moment and the pace of the clock.

    To whoever is on the line the pump is one that has lost what it did since: its session is over, its memory has
    another id, and it draws other random numbers. 409 while time is being turned, and for a pump of another profile.
    """
    memory_id = None if wanted.memory_id is None else int(wanted.memory_id, 16)
    restored, now_ms = await door.do(lambda runner: actions.restore_snapshot(runner, name, memory_id))
    return models.SnapshotRestored(now_ms=now_ms, memory_id=f"{restored.memory_id:016x}")


@router.delete("/snapshots/{name}")
async def delete_snapshot(door: Changing, name: SnapshotName) -> models.Done:
    """Throw a snapshot away."""
    _, now_ms = await door.do(lambda runner: runner.snapshots.forget(name))
    return models.Done(now_ms=now_ms)


@router.post("/shutdown")
async def shutdown(door: Changing, _wanted: Nothing) -> models.Done:
    """End the emulator in good order."""

    def end(runner: Runner) -> None:
        runner.settle()
        runner.stop()

    _, now_ms = await door.do(end)
    return models.Done(now_ms=now_ms)


def rig_app(command_queue: CommandQueue[Runner], token: str, port: int, connections: Connections) -> Guard:
    """The application, behind its guard."""
    app = FastAPI(
        title="pumpbench rig control",
        summary="Drives a virtual pump on the bench. Not a medical device, and no real pump has this.",
        version="1",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.command_queue = command_queue
    app.include_router(router)
    for kind in (RequestValidationError, HTTPException, BenchError, AwaitedError, Exception):
        app.add_exception_handler(kind, _refuse)
    return Guard(app, token, port, connections)


def _clock(runner: Runner) -> models.ClockState:
    pace = runner.clock.pace
    return models.ClockState(mode=pace.mode, speed=pace.speed, now_ms=runner.clock.read().pump_ms)


def _kept(kept: KeptSnapshot) -> dict[str, Any]:
    return {"name": kept.name, **kept.snapshot.told()}


def _start(wanted: models.FaultStart | None) -> Start:
    return NOW if wanted is None else Start(**wanted.model_dump() | {"at": At(wanted.at)})


def _order(order: Order) -> models.FaultOrder:
    said = order._asdict()
    start = models.FaultStart(**order.start._asdict() | {"at": order.start.at.value})
    return models.FaultOrder(
        **{name: said[name] for name in models.FaultOrder.model_fields} | {"start": start}
    )


def _lease(runner: Runner) -> models.LeaseState:
    left_s = runner.lease.left_s
    return models.LeaseState(
        who=runner.lease.who, left_ms=None if left_s is None else round(left_s * MS_PER_S)
    )


def _pace(wanted: models.ClockWanted) -> Pace:
    if (wanted.mode is None) == (wanted.speed is None):
        raise actions.RefusedError("say either mode (real, manual) or speed (pump ms per host ms)")
    if wanted.speed is not None:
        return Pace(wanted.speed)
    return MANUAL if wanted.mode == MANUAL.mode else REAL


async def _refuse(_request: Request, error: Exception) -> JSONResponse:
    """The answer to a request that failed: a status, and why in one sentence."""
    match error:
        case RequestValidationError():
            status, first = 422, error.errors()[0]
            where = ".".join(str(part) for part in first["loc"] if part not in {"body", "path"})
            sentence = f"{where or 'body'}: {first['msg'].removeprefix('Value error, ')}"
            if first["type"] == "json_invalid":
                sentence = "the body is not JSON"
        case HTTPException():
            status = error.status_code
            sentence = f"{error.detail}; see /openapi.json for what there is"
        case BenchError() | AwaitedError():
            status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 422)
            sentence = str(error)
        case _:
            status = 500
            sentence = f"the bench is at fault: {type(error).__name__}: {error}"
    return refused(status, sentence, getattr(error, "headers", None))
