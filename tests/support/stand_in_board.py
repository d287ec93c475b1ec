"""A board that is none: an emulator behind a PTY, and the instruments of a lab around it, all real at their ends.

Power by an HTTP outlet, a balance that speaks MT-SICS over a PTY of its own and weighs what that pump has delivered,
and a time line over TCP. Everything is in this process, in threads.
"""

from __future__ import annotations

import http.server
import json
import os
import socketserver
import threading
import tty
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from hil.errors import UsageError
from hil.instruments.emulated_balance import EmulatedBalance
from hil.rig_client import RigClient
from tests.unit.bench.processes import ThreadBench

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from hil.rig import Rig


def time_answer(rig: Rig, line: str) -> str:
    """What a board's time command answers to a line, with a rig behind it."""
    command, _, rest = line.partition(" ")
    said: dict[str, Any] = json.loads(rest) if rest else {}
    try:
        if command == "UNTIL":
            result = rig.run_until(said["what"], said["limit_ms"], **said["said"])
            events = [event._asdict() for event in result.events]
            return f"OK {json.dumps(result._asdict() | {'events': events}, default=dict)}"
        now_ms = rig.advance(**said) if command == "ADVANCE" else rig.clock().now_ms
    except UsageError as error:
        return f"NO {error}"
    return f"OK {json.dumps({'now_ms': now_ms})}"


class StandInBoard:
    """One board on a bench. `with` it: everything ends with the block."""

    def __init__(self, *, profile: str = "implanted", seed: int = 1) -> None:
        self._stack = ExitStack()
        self._bench = ThreadBench(seed=seed, profile=profile)
        self._stack.callback(self._bench.close)
        self.port = str(self._bench.ready["port"])
        self.truth = RigClient(str(self._bench.ready["control"]), str(self._bench.ready["token"]))
        """The rig of the emulator itself: what a lab does not have, for a test to compare with."""
        self._stack.callback(self.truth.close)
        self._asking = threading.Lock()

    def __enter__(self) -> StandInBoard:
        return self

    def __exit__(self, *_error: object) -> None:
        self._stack.close()

    def outlet(self) -> Mapping[str, object]:
        """Start an outlet of the board's power; its table of the bench file."""
        switch: Mapping[str, Callable[[], object]] = {
            "/on": self.truth.power_restore,
            "/off": self.truth.power_cut,
        }

        class Outlet(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                switch[self.path]()
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_words: object) -> None:
                pass

        url = "http://127.0.0.1:{}".format(
            self._serve(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Outlet))
        )
        return {"kind": "http-outlet", "on_url": f"{url}/on", "off_url": f"{url}/off"}

    def reset(self, place: Path) -> Mapping[str, object]:
        """Start what the reset line acts on; its table of the bench file."""
        return {"kind": "reset", "command": self._obeying(place, "reset", self._bench.renew) + " {profile}"}

    def magnet(self, place: Path) -> Mapping[str, object]:
        """Start a servo with a magnet; its table of the bench file."""
        words = self._obeying(
            place,
            "magnet",
            lambda word: self.truth.inject("magnet") if word == "near" else self.truth.clear("magnet"),
        )
        return {"kind": "magnet", "on": f"{words} near", "off": f"{words} away"}

    def _obeying(self, place: Path, name: str, act: Callable[[str], object]) -> str:
        """A command of the lab that hands its last word to `act` here, and ends when that is done."""
        asked, done = place / f"{name}-asked", place / f"{name}-done"
        os.mkfifo(asked)
        os.mkfifo(done)

        def serve() -> None:
            while word := asked.read_text().strip():
                act(word)
                done.write_text("done\n")

        threading.Thread(target=serve, daemon=True).start()
        return f"""sh -c 'echo "$1" > {asked}; read word < {done}' sh"""

    def balance(self) -> Mapping[str, object]:
        """Start a balance under the catheter's tip; its table of the bench file."""
        balance = EmulatedBalance(lambda: self.truth.weigh().mass_ug)
        ours, theirs = os.openpty()
        tty.setraw(theirs)
        self._stack.callback(os.close, theirs)

        def serve() -> None:
            while True:
                try:
                    data = os.read(ours, 100)
                    os.write(ours, balance.feed(data))
                except OSError:
                    return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        return {"kind": "balance", "port": f"pty:{os.ttyname(theirs)}"}

    def time_line(self) -> Mapping[str, object]:
        """Start the board's time command; its table of the bench file."""
        rig = self.truth

        class TimeCommand(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                for line in self.rfile:
                    self.wfile.write(time_answer(rig, line.decode().strip()).encode() + b"\n")

        port = self._serve(socketserver.ThreadingTCPServer(("127.0.0.1", 0), TimeCommand))
        return {"kind": "time", "port": f"socket://127.0.0.1:{port}"}

    def _serve(self, server: socketserver.TCPServer) -> int:
        threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01), daemon=True).start()
        self._stack.callback(server.server_close)
        self._stack.callback(server.shutdown)
        return int(server.server_address[1])

    def bench_file(self, place: Path, **instruments: Mapping[str, object]) -> Path:
        """Write a bench file with this board as `rig1`; its path."""
        lines = ["[targets.rig1]", f'address = "pty:{self.port}"']
        for name, table in instruments.items():
            lines += [f"[targets.rig1.instruments.{name}]"]
            lines += [f"{key} = {json.dumps(value)}" for key, value in table.items()]
        path = place / "pumpbench.toml"
        path.write_text("\n".join(lines) + "\n")
        return path
