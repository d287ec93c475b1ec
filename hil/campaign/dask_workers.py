"""Workers on many machines: those of a Dask scheduler that somebody has started, at `dask://HOST:PORT`.

The only place of Dask, which is there with `pumpbench[dask]`. Dask hands lives of a killed worker to another, counts
workers that come and go, and encrypts where its own configuration says so; ours is to see that each worker has our
code, that nothing waits for ever, and that Dask prints nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import ssl
import threading
import warnings
from concurrent.futures import BrokenExecutor, CancelledError, Future
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from hil.campaign.code_digest import CODE, code_digest
from hil.errors import BadConfiguration, BenchLost, PumpbenchError
from hil.quantity_words import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CONNECT_LIMIT_S: Final = 10
ANSWER_LIMIT_S: Final = 30
"""For the scheduler to say how many workers it has."""
CODE_LIMIT_S: Final = 10
"""For all workers to say which code they have; one that plays has to import it first."""
CLOSE_LIMIT_S: Final = 5
NO_WORKER_LIMIT_MS: Final = 30_000
"""A worker that was killed is begun anew by Dask's nanny within seconds, and by a person within this."""
LOOK_EACH_MS: Final = 1_000
LOGGERS: Final = (
    "distributed",
    "distributed.client",
    "distributed.gc",
    "tornado",
    "tornado.application",
    "bokeh",
)
"""Of Dask and what it stands on, with handlers of their own once it is imported."""
MEND: Final = "install this pumpbench with all its files there, start the worker again, then --resume"
_ABOUT_SETTINGS: Final = (
    FileNotFoundError,
    PermissionError,
    TypeError,
    ValueError,
    RuntimeError,
    ssl.SSLError,
)

_one_at_a_time = threading.Lock()


@cache
def _digest_at_first_call() -> str:
    """Of the code that this process has imported: files that were changed since say nothing about it."""
    return code_digest()


def worker_code() -> str:
    """On a worker: which code it has."""
    return _digest_at_first_call()


def on_same_code(code: str, call: Callable[..., Any], *args: Any) -> Any:
    """On a worker: what the call returns, for one thread at a time. BadConfiguration where it has other code."""
    if worker_code() != code:
        from distributed import get_worker  # noqa: PLC0415 - an extra, and this is a worker of it

        raise _differs(get_worker().address, worker_code(), code)
    with _one_at_a_time:
        return call(*args)


class DaskWorkers:
    """The workers of a Dask scheduler.

    `clock_ms`: the host's clock. BadConfiguration where Dask is not installed or set up, or a worker has other code or
    none; BenchLost where the scheduler cannot be reached.
    """

    batch_ms: Final = 1_000
    """Handing out takes some 10 ms, and the scheduler of a thousand workers has other work too."""

    def __init__(self, host: str, port: int, code: str, clock_ms: Callable[[], int]) -> None:
        self._code, self._clock_ms = code, clock_ms
        place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._name = f"dask://{place}"
        with _kept_quiet() as distributed:
            self._client = self._connected(distributed, place)
            self._killed: type[Exception] = distributed.KilledWorker
        self._executor = self._client.get_executor(pure=False)
        self._seen_ms = self._looked_ms = clock_ms()
        self._count = 0
        try:
            self._look()
        except BaseException:
            self.shutdown(cancel_futures=True)
            raise

    def count(self) -> int:
        """Processes of workers that the scheduler has; BenchLost where it has had none for long, or does not answer."""
        now_ms = self._clock_ms()
        if now_ms - self._looked_ms >= LOOK_EACH_MS:
            self._looked_ms = now_ms
            self._look()
        return max(self._count, 1)

    def submit(self, call: Callable[..., Any], /, *args: Any) -> Future[Any]:
        """Have it called by a worker, on our code."""
        told: Future[Any] = Future()
        try:
            inner = self._executor.submit(on_same_code, self._code, call, *args)
        except Exception as error:
            raise BrokenExecutor(f"the connection to {self._name} is lost") from error
        inner.add_done_callback(lambda done: self._pass_on(done, told))
        return told

    def shutdown(self, *, cancel_futures: bool) -> None:
        """Let the scheduler forget what we asked for; no worker is waited for, since none can be broken off."""
        with contextlib.suppress(Exception):
            self._executor.shutdown(wait=not cancel_futures)
        with contextlib.suppress(Exception):  # a scheduler that is gone, or does not answer
            self._client.close(timeout=CLOSE_LIMIT_S)

    def _connected(self, distributed: Any, place: str) -> Any:
        """A client of the scheduler, once it is known to be one: a client waits long for what is none."""
        try:
            address = distributed.core.normalize_address(place)
            security = distributed.Security().get_connection_args("client")
            found = asyncio.run(_identity_of(distributed.rpc(address, connection_args=security)))
        except _ABOUT_SETTINGS as error:
            raise BadConfiguration(
                f"Dask cannot connect to {self._name} as it is set up ({_first_line(error)})",
                advice="see distributed.comm in Dask's configuration",
            ) from error
        except Exception as error:
            raise BenchLost(
                f"no Dask scheduler answers at {self._name}",
                advice="start one with `dask scheduler`, with the TLS settings of this program or none, then --resume",
            ) from error
        if found.get("type") != "Scheduler":
            raise BadConfiguration(f"{self._name} is no Dask scheduler, but a {found.get('type')}")
        try:
            return distributed.Client(address, timeout=CONNECT_LIMIT_S, set_as_default=False)
        except Exception as error:
            raise BenchLost(f"the Dask scheduler at {self._name} went away") from error

    def _look(self) -> None:
        """See how many workers there are, and where that is another number, which code they have."""
        try:
            found = self._client.sync(
                self._client.scheduler.identity, n_workers=0, callback_timeout=ANSWER_LIMIT_S
            )
        except Exception as error:
            raise BrokenExecutor(f"the scheduler at {self._name} does not answer any more") from error
        before, self._count = self._count, int(found["n_workers"])
        now_ms = self._clock_ms()
        if self._count:
            self._seen_ms = now_ms
        elif now_ms - self._seen_ms >= NO_WORKER_LIMIT_MS:
            raise BenchLost(
                f"{self._name} has had no worker for {NO_WORKER_LIMIT_MS // 1_000} s",
                advice="start some with `dask worker`, then --resume",
            )
        if self._count != before:
            self._see_which_code_they_have()

    def _see_which_code_they_have(self) -> None:
        """Whoever does not say now, or comes and goes between two looks, is asked with each batch."""
        try:
            found = self._client.sync(
                self._client._run, worker_code, on_error="return", callback_timeout=CODE_LIMIT_S
            )
        except Exception:  # noqa: BLE001 - of a worker that hangs, or a scheduler whose next look tells
            return
        wrong = {
            worker: other
            for worker, came in sorted(found.items())
            if (other := self._other_code(worker, came)) is not None
        }
        for other in wrong.values():
            if len(wrong) > 1:
                other.advice += f"; the same with {counted(len(wrong) - 1, 'more worker')}"
            raise other

    def _other_code(self, worker: str, came: str | Exception) -> BadConfiguration | None:
        """What is wrong where a worker has code other than ours, or none; None where it has ours, or died."""
        if came == self._code:
            return None
        if isinstance(came, str):
            return _differs(worker, came, self._code)
        text = str(came)
        if re.search(rf"No module named '({'|'.join(CODE)})'", text):
            return BadConfiguration(f"{worker} of {self._name} has no pumpbench", advice=MEND)
        if isinstance(came, (ImportError, AttributeError)) or re.search(
            r"\b(ModuleNotFound|Import|Attribute)Error\(", text
        ):
            return BadConfiguration(
                f"{worker} of {self._name} has another pumpbench ({_first_line(came)})", advice=MEND
            )
        return None

    def _pass_on(self, done: Future[Any], told: Future[Any]) -> None:
        """The outcome of a call, as the campaign knows it; called by Dask's thread."""
        try:
            told.set_result(done.result())
        except CancelledError:
            told.set_exception(BrokenExecutor(f"the connection to {self._name} was lost"))
        except Exception as error:  # noqa: BLE001 - whatever Dask or a worker raises
            told.set_exception(self._reason(error))

    def _reason(self, error: Exception) -> PumpbenchError:
        """What is wrong where a worker could not call what it was asked for."""
        if isinstance(error, PumpbenchError):
            return error
        if isinstance(error, self._killed):
            return BenchLost(
                f"workers of {self._name} were killed again and again, with the same lives",
                advice="is there memory enough? then --resume",
            )
        if (other := self._other_code("a worker", error)) is not None:
            return other
        return BenchLost(f"a worker of {self._name} failed: {type(error).__name__}: {_first_line(error)}")


async def _identity_of(scheduler: Any) -> dict[str, Any]:
    """What a server of Dask says that it is; an error where none says so in time."""
    try:
        found: dict[str, Any] = await asyncio.wait_for(scheduler.identity(), CONNECT_LIMIT_S)
        return found
    finally:
        scheduler.close_comms()


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _differs(worker: str, came: str, expected: str) -> BadConfiguration:
    return BadConfiguration(
        f"the Dask worker {worker} has other code (SHA-256 {came[:12]}, expected {expected[:12]}): "
        "lives of two codes are no result",
        advice=MEND,
    )


@contextlib.contextmanager
def _kept_quiet() -> Iterator[Any]:
    """Dask, which writes into no output of ours from now on; its own files of logs it writes as it was told."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about versions of others that differ a little
        try:
            import distributed  # noqa: PLC0415 - an extra, and half a second
        except ImportError as error:
            raise BadConfiguration(
                "Dask is not installed, and dask:// is its scheduler", advice="pip install 'pumpbench[dask]'"
            ) from error
        except Exception as error:
            raise BadConfiguration(f"Dask's configuration cannot be read ({_first_line(error)})") from error
        for name in LOGGERS:
            logger = logging.getLogger(name)
            for handler in [*logger.handlers]:
                if type(handler) is logging.StreamHandler:
                    logger.removeHandler(handler)
            logger.addHandler(logging.NullHandler())
            logger.propagate = False
        yield distributed
