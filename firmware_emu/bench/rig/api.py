"""Rig control over HTTP: what any language can ask of the bench; `/openapi.json` describes it. The only FastAPI here.

Each request becomes a job for the runner's thread and waits for its answer. Every refusal is a JSON
object `{"error": sentence}`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, TypeVar

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from firmware_emu.bench.clock import MANUAL, REAL, Pace
from firmware_emu.bench.errors import BenchError, NotNowError
from firmware_emu.bench.event_words import words_of
from firmware_emu.bench.rig import actions, models
from firmware_emu.bench.rig.guard import Guard
from firmware_emu.bench.time_run import TimeRun, Until
from firmware_emu.bench.trace_hash import plain_entry

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from firmware_emu.bench.command_queue import CommandQueue
    from firmware_emu.bench.rig.connections import Connections
    from firmware_emu.bench.runner import Runner

Result = TypeVar("Result")


class RunnerProxy:
    """The way from a request to the runner's thread and back."""

    def __init__(self, command_queue: CommandQueue[Runner]) -> None:
        self._command_queue = command_queue

    async def do(self, action: Callable[[Runner], Result]) -> Result:
        """Run an action between two steps of the pump."""

        def job(runner: Runner, future: Future[Result]) -> None:
            future.set_result(action(runner))

        return await asyncio.wrap_future(self._command_queue.leave(job))

    async def travel(self, ms: int, until: Until, after_received: int = 0) -> TimeRun:
        """Let time pass; the answer comes when it has passed."""

        def job(runner: Runner, future: Future[TimeRun]) -> None:
            runner.start_run(ms, until, after_received, future)

        return await asyncio.wrap_future(self._command_queue.leave(job))


async def _door(request: Request) -> RunnerProxy:
    door: RunnerProxy = request.app.state.door
    return door


Here = Annotated[RunnerProxy, Depends(_door)]
REFUSALS: dict[int | str, dict[str, object]] = {
    401: {"model": models.Error, "description": "no token, or a wrong one"},
    403: {"model": models.Error, "description": "a name or a web page that is not the bench's"},
    409: {"model": models.Error, "description": "not in the present state of the bench"},
    422: {
        "model": models.Error,
        "description": "a body that is not as described, or that the plant cannot take",
    },
}
router = APIRouter(prefix="/v1", responses=REFUSALS)


@router.get("/state")
async def get_state(door: Here) -> models.RigState:
    """What is so and what the pump believes, side by side."""

    def look(runner: Runner) -> models.RigState:
        seen = actions.state(runner)
        port = runner.port
        return models.RigState(
            **seen._asdict(), received_bytes=port.received_bytes, dropped_bytes=port.dropped_bytes
        )

    return await door.do(look)


@router.get("/clock")
async def get_clock(door: Here) -> models.ClockState:
    """How time runs, and what it is."""
    return await door.do(_clock)


@router.put("/clock")
async def put_clock(door: Here, wanted: models.ClockWanted) -> models.ClockState:
    """Let time run at another pace from here on."""

    def change(runner: Runner) -> models.ClockState:
        runner.set_pace(_pace(wanted))
        return _clock(runner)

    return await door.do(change)


@router.post("/clock/advance")
async def advance(door: Here, wanted: models.Advance) -> models.Done:
    """Under manual time: let time pass, after all bytes that the client has sent were taken."""
    after_received = 0 if wanted.after_received is None else wanted.after_received
    time_run = await door.travel(wanted.ms, Until.TIME, after_received)
    return models.Done(now_ms=time_run.end.pump_ms)


@router.post("/clock/run-until")
async def run_until(door: Here, wanted: models.RunUntil) -> models.Ran:
    """Under manual time: let time pass until something happens, as fast as this machine can."""
    time_run = await door.travel(wanted.limit_ms, Until(wanted.what))
    events = [
        models.Event(**plain_entry(entry)._asdict(), text=words_of(entry.event)) for entry in time_run.events
    ]
    return models.Ran(now_ms=time_run.now.pump_ms, reached=time_run.reached, events=events)


@router.post("/power/cut")
async def cut_power(door: Here, wanted: models.PowerCut) -> models.Done:
    """Pull the plug, now or in a memory write to come; it stays out until it is put back."""

    def cut(runner: Runner) -> models.Done:
        if wanted.after_writes is not None:
            actions.arm_power_cut(runner, wanted.after_writes, wanted.torn_after_bytes)
        elif wanted.torn_after_bytes is not None:
            raise actions.RefusedError(
                "torn_after_bytes says how a write is torn; say which with after_writes"
            )
        else:
            actions.cut_power(runner)
        return _done(runner)

    return await door.do(cut)


@router.post("/power/restore")
async def restore_power(door: Here, wanted: models.PowerRestore) -> models.Restored:
    """Put the plug back; an armed cut that did not fire is disarmed."""

    def restore(runner: Runner) -> models.Restored:
        was_off = actions.restore_power(runner, wanted.off_ms)
        return models.Restored(now_ms=runner.host.pump.now_ms, was_off=was_off)

    return await door.do(restore)


@router.post("/syringe/aspirate")
async def aspirate(door: Here, wanted: models.Aspirate) -> models.Moved:
    """Draw fluid out of the reservoir; the next REFILL finds it as the syringe left it."""

    def draw(runner: Runner) -> models.Moved:
        nl = actions.aspirate(runner, wanted.nl)
        return models.Moved(now_ms=runner.host.pump.now_ms, nl=nl)

    return await door.do(draw)


@router.post("/syringe/fill")
async def fill(door: Here, wanted: models.Fill) -> models.Moved:
    """Inject fluid into the reservoir; the next REFILL finds it as the syringe left it."""

    def inject(runner: Runner) -> models.Moved:
        nl = actions.fill(runner, wanted.nl, wanted.concentration_ng_per_ml)
        return models.Moved(now_ms=runner.host.pump.now_ms, nl=nl)

    return await door.do(inject)


@router.get("/faults")
async def get_faults(door: Here) -> models.Faults:
    """What can go wrong with this pump, what it takes, whether it is so, and how often it took effect."""

    def look(runner: Runner) -> models.Faults:
        return models.Faults(
            faults=[
                models.Fault(
                    name=each.fault.name,
                    summary=each.fault.summary,
                    seen_as=each.fault.seen_as,
                    parameters=[models.FaultParameter(**row._asdict()) for row in each.fault.parameters],
                    on=each.on,
                    effects=each.effects,
                )
                for each in actions.faults(runner)
            ]
        )

    return await door.do(look)


@router.put("/faults/{name}")
async def put_fault(door: Here, name: str, wanted: models.FaultWanted) -> models.Done:
    """Cause a fault, or end it."""

    def change(runner: Runner) -> models.Done:
        if wanted.on:
            actions.inject(runner, name, wanted.parameters)
        elif wanted.parameters:
            raise actions.RefusedError(f"a fault that ends takes no parameters, {name} got some")
        else:
            actions.clear(runner, name)
        return _done(runner)

    return await door.do(change)


@router.get("/tones")
async def get_tones(door: Here) -> models.Tones:
    """What the pump's sounder was heard to play."""

    def listen(runner: Runner) -> models.Tones:
        heard = [models.Tone(**tone._asdict()) for tone in actions.tones(runner)]
        return models.Tones(now_ms=runner.host.pump.now_ms, tones=heard)

    return await door.do(listen)


@router.post("/shutdown")
async def shutdown(door: Here, _wanted: models.Nothing) -> models.Done:
    """End the emulator in good order."""

    def end(runner: Runner) -> models.Done:
        runner.settle()
        runner.stop()
        return _done(runner)

    return await door.do(end)


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
    app.state.door = RunnerProxy(command_queue)
    app.include_router(router)
    app.add_exception_handler(RequestValidationError, _say_invalid)
    app.add_exception_handler(HTTPException, _say_http)
    app.add_exception_handler(BenchError, _say_refused)
    app.add_exception_handler(Exception, _say_broken)
    return Guard(app, token, port, connections)


def _clock(runner: Runner) -> models.ClockState:
    pace = runner.clock.pace
    return models.ClockState(mode=pace.mode, speed=pace.speed, now_ms=runner.clock.read().pump_ms)


def _pace(wanted: models.ClockWanted) -> Pace:
    if (wanted.mode is None) == (wanted.speed is None):
        raise actions.RefusedError("say either mode (real, manual) or speed (pump ms per host ms)")
    if wanted.speed is not None:
        return Pace(int(wanted.speed))
    return MANUAL if wanted.mode == MANUAL.mode else REAL


def _done(runner: Runner) -> models.Done:
    return models.Done(now_ms=runner.host.pump.now_ms)


async def _say_invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - it is what this is registered for
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return _error(422, "the body is not JSON")
    where = ".".join(str(part) for part in first["loc"] if part != "body")
    return _error(422, f"{where or 'body'}: {first['msg']}")


async def _say_http(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - likewise
    return _error(error.status_code, f"{error.detail}; see /openapi.json for what there is")


async def _say_refused(_request: Request, error: Exception) -> JSONResponse:
    return _error(409 if isinstance(error, NotNowError) else 422, str(error))


async def _say_broken(_request: Request, error: Exception) -> JSONResponse:
    return _error(500, f"the bench is at fault: {type(error).__name__}: {error}")


def _error(status: int, sentence: str) -> JSONResponse:
    return JSONResponse({"error": sentence}, status_code=status)
