"""Rig control's server: a socket that listens from the start, and a web framework that is loaded when first needed.

FastAPI with uvicorn takes more than half a second to import, so it is imported in a thread of its own when
the first client knocks; its connection waits in the socket's queue until then. The thread touches nothing of
the pump: what it is asked to do goes into the runner's command queue. Signals stay the runner's. Who may have how
many connections is `connections`; what the framework has to say of strangers is said once, and counted.
"""

from __future__ import annotations

import importlib.util
import logging
import selectors
import threading
from typing import TYPE_CHECKING, Any

from firmware_emu.bench.errors import BadConfigurationError
from firmware_emu.bench.ports.tcp import address_of, listen_on_loopback

if TYPE_CHECKING:
    from firmware_emu.bench.command_queue import CommandQueue
    from firmware_emu.bench.ports.port import Say
    from firmware_emu.bench.runner import Runner

JOIN_S = 3.0
KEEP_ALIVE_S = 3_600  # a test may think for long between two requests
KIND_CHARACTERS = 60
KINDS_MAX = 16
NEEDED = ("fastapi", "uvicorn")


class RigServer:
    """Listens on loopback; serves from the first connection to `close`."""

    def __init__(self, address: str, token: str, command_queue: CommandQueue[Runner], say: Say) -> None:
        missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
        if missing:
            raise BadConfigurationError(
                f"--control needs {' and '.join(missing)}; install with: pip install 'pumpbench[rig]'"
            )
        self._listener = listen_on_loopback(address)
        self.token = token
        self._command_queue = command_queue
        self._say = say
        self._selector: selectors.BaseSelector | None = None
        self._thread: threading.Thread | None = None
        self._uvicorn: Any = None
        self._closing = False
        self._complaints = _Complaints(say)

    @property
    def url(self) -> str:
        """The address for clients."""
        return f"http://{address_of(self._listener)}"

    def attach(self, selector: selectors.BaseSelector) -> None:
        """Register with the loop that will call at the first connection."""
        self._selector = selector
        selector.register(self._listener, selectors.EVENT_READ, self._first_connection)

    def close(self) -> None:
        """Let answers under way leave, then stop."""
        self._closing = True
        if self._uvicorn is not None:
            self._uvicorn.should_exit = True
        if self._thread is not None:
            self._thread.join(JOIN_S)
        elif self._selector is not None:
            self._selector.unregister(self._listener)
        self._listener.close()

    def _first_connection(self, _events: int) -> None:
        assert self._selector is not None  # noqa: S101 - it is what called
        self._selector.unregister(self._listener)
        self._thread = threading.Thread(target=self._serve, name="rig control", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        """Serve until the end; where rig control cannot start or go on, hang up on its clients and say why."""
        try:
            self._serve_http()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it is, nobody would ever answer
            self._say(f"rig control has ended ({type(error).__name__}: {error}); the pump goes on without it")
        finally:
            self._listener.close()

    def _serve_http(self) -> None:
        import uvicorn  # noqa: PLC0415 - costs half a second, wanted only here

        from firmware_emu.bench.rig.api import rig_app  # noqa: PLC0415 - likewise
        from firmware_emu.bench.rig.connections import Connections, GuardedListener  # noqa: PLC0415 - likewise
        from firmware_emu.bench.rig.http_protocol import HttpProtocol  # noqa: PLC0415 - likewise

        connections = Connections()
        listener = GuardedListener(self._listener, connections)
        self._listener = listener
        app = rig_app(self._command_queue, self.token, listener.getsockname()[1], connections)
        for name in ("uvicorn", "asyncio"):
            logger = logging.getLogger(name)
            logger.handlers, logger.propagate = [self._complaints], False

        class SweepingServer(uvicorn.Server):
            """Looks after slow strangers at each of its ticks, ten a second."""

            async def on_tick(self, counter: int) -> bool:
                connections.sweep()
                return await super().on_tick(counter)

        config = uvicorn.Config(
            app,
            loop="asyncio",
            http=HttpProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            backlog=1,  # connections taken at once: between two of them, those that are there get their turn
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=1,
        )
        self._uvicorn = SweepingServer(config)
        if not self._closing:
            self._uvicorn.run(sockets=[listener])


class _Complaints(logging.Handler):
    """What a library logs: the first of each kind is said, the others are counted."""

    def __init__(self, say: Say) -> None:
        super().__init__(logging.WARNING)
        self._say = say
        self.counts: dict[str, int] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Say it, if nothing like it was said before. The format stands for the kind."""
        kind = str(record.msg)[:KIND_CHARACTERS]
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if self.counts[kind] == 1 and len(self.counts) <= KINDS_MAX:
            self._say(f"rig control: {record.getMessage().splitlines()[0]} (said once)")
