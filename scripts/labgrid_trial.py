"""`python -m scripts.labgrid_trial BIN`: pumps at places of a real labgrid, all on this machine; prints what was said.

BIN is the `bin` of an environment that has labgrid, which ours cannot have (its pyserial is another). Coordinator and
exporter run on loopback, and two emulated pumps are exported: `bare` by its PTY, which the exporter hands to ser2net
(Debian: apt-get install ser2net), and `rack` by RFC 2217, with an outlet that labgrid switches by HTTP and that pulls
this pump's plug. Ends with 0 where everything was as expected.
"""

from __future__ import annotations

import getpass
import http.server
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

PUMPBENCH = [sys.executable, "-m", "hil.cli"]
STEP_S = 0.2
COMES_WITHIN_S = 60
STEP_LIMIT_S = 120
EXPORTER = """\
bare:
  RawSerialPort:
    port: "{pty}"
    speed: 115200
rack:
  NetworkSerialPort:
    host: 127.0.0.1
    port: {rfc2217}
    speed: 115200
    protocol: rfc2217
  NetworkPowerPort:
    model: simplerest
    host: "http://127.0.0.1:{outlet}/{{index}}/{{value}}"
    index: "1"
"""
BENCH = """\
[targets.rack]
address = "labgrid:rack"
[targets.rack.instruments.labgrid]
place = "rack"
settle_ms = 200
"""
A_POWER_CUT = """\
from hil.plugin import needs
from protocol.messages.time import GetTime


@needs("power")
def test_the_place_cuts_the_power(pump, pump_rig):
    before = pump.request(GetTime(0)).boot_count
    pump_rig.power_cut()
    assert pump_rig.power_restore()
    assert pump.request(GetTime(0)).boot_count == before + 1
"""


class Step(NamedTuple):
    """A command, how it has to end, and what it has to say."""

    words: str
    code: int
    says: str
    user: str = ""


STEPS = (
    Step("pumpbench program status --target labgrid:bare", 0, "EMULATED pump"),
    Step("labgrid-client -p bare show", 0, "acquired: None"),
    Step("labgrid-client -p rack acquire", 0, "acquired place rack", user="eve"),
    Step("pumpbench program status --target labgrid:rack", 11, "labgrid place rack is acquired by"),
    Step("labgrid-client -p rack release", 0, "released place rack", user="eve"),
    Step("labgrid-client -p rack acquire", 0, "acquired place rack"),
    Step("pumpbench program status --target labgrid:rack", 0, "EMULATED pump"),
    Step("labgrid-client -p rack show", 0, f"/{getpass.getuser()}"),
    Step("labgrid-client -p rack release", 0, "released place rack"),
    Step("pumpbench program status --target labgrid:nobody", 10, "place pattern nobody matches nothing"),
    Step("pumpbench hil preflight --target bench:rack", 0, "identity  fit"),
    Step("pumpbench hil run --target bench:rack -k the_place_cuts power_cut.py -- -q", 0, "1 passed"),
    Step("labgrid-client -p rack show", 0, "acquired: None"),
)


def free_port() -> int:
    """A TCP port that nobody has at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def running(*words: str, until: str, log: Path) -> Iterator[str]:
    """A program that runs as long as the block, once its log has this text; gives its log.

    It runs where its log is: a coordinator keeps its places there.
    """
    with (
        log.open("wb") as out,
        subprocess.Popen(words, stdout=out, stderr=out, stdin=subprocess.PIPE) as process,
    ):
        try:
            for _ in range(int(COMES_WITHIN_S / STEP_S)):
                if until in log.read_text() or process.poll() is not None:
                    break
                threading.Event().wait(STEP_S)
            if until not in log.read_text():
                raise SystemExit(f"{' '.join(words)} does not say {until!r}:\n{log.read_text()}")
            yield log.read_text()
        finally:
            process.terminate()


def ready_line(log: str) -> str:
    """What an emulator printed when it was ready."""
    return next(line for line in log.splitlines() if line.startswith("{"))


def outlet(port: int, ready: Path) -> http.server.ThreadingHTTPServer:
    """An outlet of a lab: GET /1/0 pulls the pump's plug, /1/1 puts it back, by the pump's rig control."""

    class Outlet(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            action = ("cut", "restore")[int(self.path[-1])]
            command = [*PUMPBENCH, "rig", "power", action, "--ready", str(ready)]
            done = subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
            self.send_response(500 if done.returncode else 200)
            self.end_headers()

        def log_message(self, *_words: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Outlet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def played(step: Step, place: Path) -> bool:
    """Run one step and print it; whether it went as it has to."""
    words = step.words.split()
    command = [*PUMPBENCH, *words[1:]] if words[0] == "pumpbench" else words
    named = {**os.environ, **({"LG_USERNAME": step.user} if step.user else {})}
    done = subprocess.run(
        command, cwd=place, env=named, capture_output=True, text=True, check=False, timeout=STEP_LIMIT_S
    )
    as_expected = done.returncode == step.code and step.says in done.stdout + done.stderr
    print(f"$ {f'LG_USERNAME={step.user} ' if step.user else ''}{step.words}")
    print((done.stdout + done.stderr).rstrip())
    not_so = "" if as_expected else f": NOT AS EXPECTED, which is {step.code} and {step.says!r}"
    print(f"exit {done.returncode}{not_so}\n", flush=True)
    return as_expected


def surroundings(place: Path, bin_of_labgrid: str, coordinator: int) -> Mapping[str, str]:
    """What all programs of the trial have in their environment."""
    return {
        "PATH": f"{Path(bin_of_labgrid).absolute()}:{os.environ['PATH']}",
        "LG_COORDINATOR": f"127.0.0.1:{coordinator}",
        "PYTHONPATH": str(Path.cwd()),
        "XDG_STATE_HOME": str(place / "state"),
    }


def main(bin_of_labgrid: str) -> int:
    """Set all up, play the steps, and take it down."""
    coordinator, rfc2217, power = (free_port() for _ in range(3))
    with tempfile.TemporaryDirectory(prefix="pumpbench-labgrid-") as name, ExitStack() as stack:
        place = Path(name)
        os.environ.update(surroundings(place, bin_of_labgrid, coordinator))
        emulate = (*PUMPBENCH, "emulate", "--until-eof", "--profile", "suite_on_a_port")
        by_network = (*emulate, "--rfc2217", f"127.0.0.1:{rfc2217}", "--control", "127.0.0.1:0")
        bare = stack.enter_context(running(*emulate, until="}\n", log=place / "bare.log"))
        rack = stack.enter_context(running(*by_network, until="}\n", log=place / "rack.log"))
        (place / "rack.json").write_text(ready_line(rack))
        stack.callback(outlet(power, place / "rack.json").shutdown)
        config = place / "exporter.yaml"
        config.write_text(
            EXPORTER.format(pty=json.loads(ready_line(bare))["port"], rfc2217=rfc2217, outlet=power)
        )
        (place / "pumpbench.toml").write_text(BENCH)
        (place / "power_cut.py").write_text(A_POWER_CUT)
        listen = ("labgrid-coordinator", "-l", f"127.0.0.1:{coordinator}")
        stack.enter_context(running(*listen, until="Coordinator ready", log=place / "coordinator.log"))
        export = ("labgrid-exporter", "-n", "trial", str(config))
        ready = "queued update for resource rack/NetworkPowerPort"
        stack.enter_context(running(*export, until=ready, log=place / "exporter.log"))
        places = [
            Step(f"labgrid-client -p {each} {words}", 0, "")
            for each in ("bare", "rack")
            for words in ("create", f"add-match trial/{each}/*")
        ]
        done = [played(step, place) for step in (*places, *STEPS)]
    print(f"{sum(done)} of {len(done)} steps went as they have to")
    return 0 if all(done) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
