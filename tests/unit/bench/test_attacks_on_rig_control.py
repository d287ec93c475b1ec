"""Attacks on rig control, one that no other test makes: paths, smuggling, two controllers, and what the log shows."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from firmware_emu.bench.errors import BadConfigurationError
from firmware_emu.bench.image_file import ImageFile
from firmware_emu.bench.profile_file import load_profile
from firmware_emu.bench.pump_host import new_pump
from firmware_emu.bench.rig import actions
from firmware_emu.bench.virtual import VirtualBench
from firmware_emu.faults.catalogue import FAULTS
from firmware_emu.units import MS_PER_HOUR
from protocol.identifiers import Opcode
from protocol.log.types import LogType
from tests.support.patience import PATIENCE_S
from tests.unit.bench.processes import Emulator, ThreadBench

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def bench() -> Iterator[ThreadBench]:
    bench = ThreadBench(seed=3)
    yield bench
    bench.close()


# Attack 9.1: a connection from another host.
@pytest.mark.parametrize("place", ["0.0.0.0:0", ":0", "192.0.2.1:0", "[::]:0", "localhost.example:0", "*:0"])
def test_rig_control_listens_to_this_machine_alone(place: str) -> None:
    ended = Emulator.that_ends("--control", place)
    assert ended.code in {2, 10}
    assert "loopback" in ended.err or "127.0.0.1" in ended.err
    assert "Traceback" not in ended.err


# Attack 9.3: a web page from elsewhere, by its Origin, by a name that was rebound, and by a WebSocket.
# Attack 9.4: a simple POST, as a form sends it.
@pytest.mark.one_in(6)
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://attacker.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "attacker.example"}, 403),
        ({"Origin": "http://attacker.example", "Connection": "Upgrade", "Upgrade": "websocket"}, 403),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": "multipart/form-data; boundary=x"}, 415),
        ({"Authorization": ""}, 401),
    ],
)
@pytest.mark.parametrize("path", ["/v1/power/cut", "/v1/clock/advance"])
def test_what_a_web_page_can_send_changes_nothing(
    bench: ThreadBench, path: str, headers: dict[str, str], status: int
) -> None:
    before = bench.rig("GET", "/v1/state")
    assert bench.ask("POST", path, {} if path.endswith("cut") else {"ms": 5}, headers)[0] == status
    for stream in ("/v1/events", "/v1/trace/0"):
        assert status == 415 or bench.ask("GET", stream, None, headers)[0] == status
    assert bench.rig("GET", "/v1/state") == before


# Attack 9.5: a path that leads out of where it belongs.
@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "..%2F..%2Fetc%2Fpasswd", "%2e%2e/%2e%2e/etc/passwd", "/etc/passwd", "a%00b"]
)
def test_no_name_that_rig_control_takes_leads_to_a_file(bench: ThreadBench, name: str) -> None:
    for method, path, body in (
        ("GET", f"/v1/trace/{name}", None),
        ("GET", f"/v1/events/{name}", None),
        ("PUT", f"/v1/faults/{name}", {"on": True}),
        ("GET", f"/{name}", None),
        ("POST", "/v1/clock/run-until", {"what": "event", "name": name, "limit_ms": 1}),
    ):
        status, answer = bench.ask(method, path, body)
        assert status in {404, 405, 422}, path
        assert set(answer) == {"error"}
        assert "root:" not in json.dumps(answer)


# Attack 9.6: a malicious image.
@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x04\x95\x1a\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94.",
        b'!!python/object/apply:os.system ["true"]\n',
        b"[" * 1_000_000,
        b'{"nl": NaN, "volume": -1}\n',
        b"\0" * 1_000,
    ],
    ids=["pickle", "YAML tag", "nested", "NaN", "zeros"],
)
def test_a_file_that_is_no_image_is_refused_in_a_sentence_and_left_as_it_is(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "image"
    path.write_bytes(content)
    with pytest.raises(BadConfigurationError, match="image") as caught:
        ImageFile(path, load_profile("implanted"))
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == content


# Attack 9.7: a command of rig control smuggled over the line of the therapy.
def test_nothing_that_rig_control_does_can_be_asked_over_the_pumps_line(bench: ThreadBench) -> None:
    pump = VirtualBench(new_pump(load_profile("implanted"), 3))
    before = pump.host.pump.truth()
    asked = [b"POST %s HTTP/1.1\r\n\r\n{}" % path for path in (b"/v1/power/cut", b"/v1/shutdown")]
    asked += [b'{"on": true}', b"motor-stall", b"advance"]
    for data in asked:
        pump.feed(b"\0" + data + b"\0")
        pump.feed(data)
    assert pump.host.pump.truth() == before
    assert pump.host.pump.powered
    verbs = {
        path.rpartition("/")[2].upper().replace("-", "_")
        for path in bench.rig("GET", "/openapi.json")["paths"]
    }
    assert not {verb for verb in verbs for opcode in Opcode if opcode.name == verb}


# Attack 9.8: rig control open where nobody asked for it.
def test_rig_control_says_on_stderr_that_it_is_on_and_is_off_unless_asked_for() -> None:
    asked, usual = Emulator("--control", "127.0.0.1:0"), Emulator()
    assert (usual.ready["control"], usual.ready["token"]) == (None, None)
    assert usual.end().err == ""
    assert f"rig control is on at {asked.ready['control']}: whoever has its token can stop" in asked.end().err


# Attack 9.9: two controllers at once, and one that dies with its fault on.
def test_two_controllers_do_not_turn_one_clock_and_the_faults_of_a_dead_one_end(bench: ThreadBench) -> None:
    first = bench.rig("PUT", "/v1/lease", {"who": "rig A", "seconds": 1})
    holder = {"Pumpbench-Lease": first["lease"]}
    assert bench.ask("PUT", "/v1/faults/motor-stall", {"on": True}, holder)[0] == 200
    status, refused = bench.ask("POST", "/v1/clock/advance", {"ms": 1})
    assert (status, "rig A has this bench to itself" in refused["error"]) == (423, True)
    until = {"what": "truth", "field": "stalled", "operator": "==", "value": False, "limit_ms": 1}
    assert bench.ask("POST", "/v1/clock/run-until", until)[0] == 423
    give_up_at_s = time.monotonic() + PATIENCE_S
    while bench.rig("GET", "/v1/lease")["who"] is not None:
        assert time.monotonic() < give_up_at_s
    assert bench.rig("GET", "/v1/state")["truth"]["stalled"] is False
    kinds = [entry["kind"] for entry in bench.rig("GET", "/v1/trace/0")["entries"]]
    assert kinds[-3:] == ["FaultInjected", "FaultCleared", "LeaseEnded"]
    assert bench.rig("POST", "/v1/clock/advance", {"ms": 1}) == {"now_ms": 1}


def lowest(fault: Any) -> dict[str, int]:
    return {each.name: each.lowest for each in fault.parameters if each.required}


# Attack 9.11: what was injected is in the trace, and not in the pump's log.
@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_that_is_injected_is_in_the_trace_with_its_time_and_not_in_the_log(name: str) -> None:
    pump = VirtualBench(new_pump(load_profile("implanted"), 3))
    pump.advance(MS_PER_HOUR + 17)
    mark = actions.trace_mark(pump)
    given = lowest(FAULTS[name])
    actions.inject(pump, name, given)
    actions.clear(pump, name)
    entries = actions.trace(pump, mark).entries
    told = [(type(event).__name__, now.pump_ms) for now, event in entries if "Fault" in type(event).__name__]
    assert told == [("FaultInjected", MS_PER_HOUR + 17), ("FaultCleared", MS_PER_HOUR + 17)]
    injected: Any = entries[0].event
    assert injected.name == name
    assert {each.name: each.value for each in injected.parameters}.items() >= given.items()
    assert not {log_type for log_type in LogType if "FAULT_INJECTED" in log_type.name}
    again = VirtualBench(new_pump(load_profile("implanted"), actions.state(pump).seed))
    again.advance(entries[0].now.pump_ms)
    actions.inject(again, injected.name, {each.name: each.value for each in injected.parameters})
    actions.clear(again, name)
    assert again.trace_hash == pump.trace_hash, "what the trace and the state tell repeats it"
