"""Rig control over real HTTP to a real emulator: time, barrier, power, syringe, faults, refusals, shutdown."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from firmware_emu.bench import runner
from firmware_emu.bench.clock import SPEED_MAX
from firmware_emu.bench.command_queue import CommandQueue
from firmware_emu.bench.errors import BadConfigurationError
from firmware_emu.bench.profile_file import load_profile
from firmware_emu.bench.pump_host import new_pump
from firmware_emu.bench.rig import actions, server
from firmware_emu.bench.virtual import VirtualBench
from firmware_emu.faults.catalogue import FAULTS
from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR
from protocol.identifiers import State
from tests.unit.bench.processes import EMULATE, Caller, ThreadBench

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.unit.bench.processes import Emulator

DAY = {"ms": MS_PER_DAY}


@pytest.fixture(scope="module")
def bench() -> Iterator[ThreadBench]:
    """One bench under manual time for the tests that leave it as it was."""
    bench = ThreadBench(seed=3)
    yield bench
    bench.close()


@pytest.fixture
def fresh() -> Iterator[ThreadBench]:
    """A bench under manual time of the test's own."""
    bench = ThreadBench(seed=3)
    yield bench
    bench.close()


def test_state_shows_truth_and_belief_side_by_side(bench: ThreadBench) -> None:
    state = bench.rig("GET", "/v1/state")
    assert state["powered"] is True
    assert state["truth"]["true_nl_ppm"] > 0
    assert state["belief"]
    assert len(state["trace_hash"]) == 64


def test_it_describes_itself(bench: ThreadBench) -> None:
    document = bench.rig("GET", "/openapi.json")
    assert set(document["paths"]) == {
        "/v1/state",
        "/v1/clock",
        "/v1/clock/advance",
        "/v1/clock/run-until",
        "/v1/power/cut",
        "/v1/power/restore",
        "/v1/syringe/aspirate",
        "/v1/syringe/fill",
        "/v1/faults",
        "/v1/faults/{name}",
        "/v1/lease",
        "/v1/tones",
        "/v1/trace",
        "/v1/trace/{since}",
        "/v1/events",
        "/v1/events/{since}",
        "/v1/profile",
        "/v1/snapshots",
        "/v1/snapshots/{name}",
        "/v1/snapshots/{name}/restore",
        "/v1/shutdown",
    }
    assert "Not a medical device" in document["info"]["summary"]


def test_the_token_is_not_made_from_the_seed(start: Callable[..., Emulator]) -> None:
    first, second = (start("--control", "127.0.0.1:0", "--seed", "1") for _ in range(2))
    assert first.ready["token"] != second.ready["token"]
    assert len(first.ready["token"]) >= 43


def test_without_its_token_nothing_is_said(bench: ThreadBench) -> None:
    for path in ("/v1/state", "/openapi.json", "/nothing"):
        status, answer = bench.ask("GET", path, headers={"Authorization": "Bearer guess"})
        assert status == 401
        assert set(answer) == {"error"}


def test_a_foreign_host_or_page_is_refused(bench: ThreadBench) -> None:
    assert bench.ask("GET", "/v1/state", headers={"Host": "attacker.example"})[0] == 403
    assert bench.ask("POST", "/v1/power/cut", {}, {"Origin": "http://attacker.example"})[0] == 403
    assert bench.rig("GET", "/v1/state")["powered"] is True


def test_it_is_not_there_unless_asked_for(start: Callable[..., Emulator]) -> None:
    emulator = start(command=list(EMULATE))  # a fork of ours has descriptors of ours
    assert emulator.ready["control"] is None
    descriptors = Path(f"/proc/{emulator.process.pid}/fd").iterdir()
    assert not [path for path in descriptors if str(path.readlink()).startswith("socket:")]


@pytest.mark.parametrize(
    ("path", "body", "why"),
    [
        ("/v1/clock/advance", {}, "ms: Field required"),
        ("/v1/clock/advance", {"ms": -1}, "ms: "),
        ("/v1/clock/advance", {"ms": 1.5}, "ms: "),
        ("/v1/clock/advance", {"ms": "5"}, "ms: "),
        ("/v1/clock/advance", {"ms": True}, "ms: "),
        ("/v1/clock/advance", {"ms": 10**30}, "ms: "),
        ("/v1/clock/advance", {"ms": 1, "days": 2}, "days: Extra inputs"),
        ("/v1/clock/advance", [], "body: "),
        ("/v1/clock/advance", b'{"ms": NaN}', "ms: "),
        ("/v1/clock/advance", b"not json", "not JSON"),
        ("/v1/clock/advance", b"", "body: Field required"),
        ("/v1/clock/run-until", {"what": "lunch", "limit_ms": 1}, "what: "),
        (
            "/v1/clock/run-until",
            {"what": "event", "limit_ms": 1, "name": "BOOTS"},
            "there is no event 'BOOTS'; ",
        ),
        ("/v1/clock/run-until", {"what": "truth", "limit_ms": 1}, "no field was named; truth has now_ms, "),
        (
            "/v1/clock/run-until",
            {"what": "truth", "limit_ms": 1, "field": "edges", "operator": "<", "value": 1.5},
            "value: a whole number below 2^100, a name, true, false or null is expected",
        ),
        ("/v1/power/cut", {"after_writes": 0}, "after_writes: "),
        ("/v1/power/cut", {"torn_after_bytes": 3}, "say which with after_writes"),
        ("/v1/syringe/fill", {"nl": -5}, "nl: "),
        ("/v1/syringe/fill", {"nl": 90_000_000, "concentration_ng_per_ml": 1}, ""),
    ],
)
def test_a_bad_body_is_refused_with_a_sentence(bench: ThreadBench, path: str, body: Any, why: str) -> None:
    status, answer = bench.ask("POST", path, body)
    assert status == 422
    assert set(answer) == {"error"}
    assert why in answer["error"]


def test_nesting_as_deep_as_it_may_be_is_refused(bench: ThreadBench) -> None:
    status, answer = bench.ask("POST", "/v1/clock/advance", b"[" * 60_000)
    assert status in {400, 422}
    assert set(answer) == {"error"}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"mode": "max"},
        {"speed": 0},
        {"speed": 1.5},
        {"speed": SPEED_MAX + 1},
        {"mode": "real", "speed": 2},
    ],
)
def test_a_clock_that_cannot_be_is_refused(bench: ThreadBench, body: dict[str, Any]) -> None:
    assert bench.ask("PUT", "/v1/clock", body)[0] == 422
    assert bench.rig("GET", "/v1/clock")["mode"] == "manual"


def test_a_path_that_is_not_there_is_404(bench: ThreadBench) -> None:
    for path in ("/", "/docs", "/v1/../etc/passwd", "/v1/state/"):
        status, answer = bench.ask("GET", path)
        assert status == 404
        assert set(answer) == {"error"}


def test_manual_time_stands_still_until_it_is_advanced(fresh: ThreadBench) -> None:
    assert fresh.rig("GET", "/v1/clock") == {"mode": "manual", "speed": 0, "now_ms": 0}
    assert fresh.rig("POST", "/v1/clock/advance", DAY) == {"now_ms": MS_PER_DAY}
    assert fresh.rig("GET", "/v1/clock")["now_ms"] == MS_PER_DAY
    assert fresh.rig("GET", "/v1/state")["now_ms"] == MS_PER_DAY


def test_a_day_of_therapy_passes_in_one_request(fresh: ThreadBench) -> None:
    before = fresh.rig("GET", "/v1/state")["truth"]
    fresh.rig("POST", "/v1/clock/advance", DAY)
    after = fresh.rig("GET", "/v1/state")["truth"]
    assert after["strokes_turned"] - before["strokes_turned"] == 1_200  # 0.6 mL/day in strokes of 500 nL
    assert before["true_nl_ppm"] - after["true_nl_ppm"] == 600_000 * 1_000_000


def test_the_pace_changes_and_time_goes_on(fresh: ThreadBench) -> None:
    fresh.rig("POST", "/v1/clock/advance", DAY)
    answer = fresh.rig("PUT", "/v1/clock", {"speed": 3_600.0})
    assert (answer["mode"], answer["speed"]) == ("scaled", 3_600)
    status, refused = fresh.ask("POST", "/v1/clock/advance", DAY)
    assert status == 409
    assert "set the clock to manual" in refused["error"]
    stopped = fresh.rig("PUT", "/v1/clock", {"mode": "manual"})
    assert stopped["now_ms"] >= MS_PER_DAY
    assert fresh.rig("GET", "/v1/clock")["now_ms"] == stopped["now_ms"]


def test_scaled_time_runs_by_itself(fresh: ThreadBench) -> None:
    fresh.rig("PUT", "/v1/clock", {"speed": 100_000})
    give_up_at_s = time.monotonic() + 20
    while fresh.rig("GET", "/v1/state")["truth"]["strokes_turned"] < 100:
        assert time.monotonic() < give_up_at_s


def test_an_advance_waits_for_the_bytes_that_are_on_their_way(fresh: ThreadBench) -> None:
    caller = Caller.on_pty(fresh.ready["port"])
    caller.connect()
    answers: list[Any] = []
    expected = caller.sent_bytes + 7
    asking = threading.Thread(
        target=lambda: answers.append(
            fresh.rig("POST", "/v1/clock/advance", {"ms": 1_000, "after_received": expected})
        ),
        daemon=True,
    )
    asking.start()
    assert fresh.rig("GET", "/v1/clock")["now_ms"] == 0
    os.write(caller.descriptor, b"\x00junk\x00\x00")
    asking.join(20)
    assert answers == [{"now_ms": 1_000}]
    assert fresh.rig("GET", "/v1/state")["received_bytes"] == expected
    caller.close()


def test_only_one_turns_the_time(fresh: ThreadBench) -> None:
    connection = socket.create_connection(fresh.control_place.split(":"), 20)  # type: ignore[arg-type]
    body = json.dumps({"ms": 1, "after_received": 1}).encode()
    connection.sendall(
        b"POST /v1/clock/advance HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
        % (fresh.control_place.encode(), fresh.ready["token"].encode(), len(body), body)
    )
    give_up_at_s = time.monotonic() + 20
    while fresh.ask("PUT", "/v1/clock", {"mode": "manual"})[0] != 409:
        assert time.monotonic() < give_up_at_s
    status, answer = fresh.ask("POST", "/v1/clock/advance", DAY)
    assert status == 409
    assert "time is being turned already" in answer["error"]
    connection.close()


def test_a_run_until_an_alarm_stops_at_its_millisecond(fresh: ThreadBench) -> None:
    ran = fresh.rig("POST", "/v1/clock/run-until", {"what": "alarm", "limit_ms": 60 * MS_PER_DAY})
    assert ran["reached"] is True
    # 18 mL less the 2 mL of the low-reservoir alarm are 32,000 strokes of 500 nL, 1,200 a day
    assert ran["now_ms"] == 32_000 * MS_PER_DAY // 1_200
    alarm = ran["events"][0]
    assert alarm["now_ms"] == alarm["line_ms"] == ran["now_ms"]
    assert (alarm["kind"], alarm["fields"]["alarm_id"]) == ("AlarmRaised", "LOW_RESERVOIR")
    assert alarm["text"].startswith("AlarmRaised: alarm_id LOW_RESERVOIR, ")


def test_a_run_that_finds_nothing_ends_at_its_limit(fresh: ThreadBench) -> None:
    ran = fresh.rig("POST", "/v1/clock/run-until", {"what": "alarm", "limit_ms": MS_PER_HOUR})
    assert ran == {"now_ms": MS_PER_HOUR, "reached": False, "events": [], "value": None}


def test_power_is_cut_and_comes_back(fresh: ThreadBench) -> None:
    fresh.rig("POST", "/v1/clock/advance", DAY)
    fresh.rig("POST", "/v1/power/cut", {})
    dark = fresh.rig("GET", "/v1/state")
    assert (dark["powered"], dark["belief"]) == (False, None)
    fresh.rig("POST", "/v1/clock/advance", DAY)
    assert fresh.rig("GET", "/v1/state")["truth"]["strokes_turned"] == dark["truth"]["strokes_turned"]
    restored = fresh.rig("POST", "/v1/power/restore", {"off_ms": 500})
    assert restored == {"now_ms": 2 * MS_PER_DAY + 500, "was_off": True}
    caller = Caller.on_pty(fresh.ready["port"])
    assert caller.connect().status().state is State.RUN
    caller.close()


def test_a_cut_in_a_memory_write_stays_out_until_it_is_put_back(fresh: ThreadBench) -> None:
    fresh.rig("POST", "/v1/power/cut", {"after_writes": 1, "torn_after_bytes": 2})
    assert fresh.rig("GET", "/v1/state")["truth"]["power_cut_armed"] is True
    fresh.rig("POST", "/v1/clock/advance", DAY)
    assert fresh.rig("GET", "/v1/state")["powered"] is False
    assert fresh.rig("POST", "/v1/power/restore", {})["was_off"] is True
    assert fresh.rig("GET", "/v1/state")["powered"] is True


def test_a_cut_that_did_not_fire_is_told_and_disarmed(fresh: ThreadBench) -> None:
    fresh.rig("POST", "/v1/power/cut", {"after_writes": 1_000_000})
    assert fresh.rig("POST", "/v1/power/restore", {})["was_off"] is False
    assert fresh.rig("GET", "/v1/state")["truth"]["power_cut_armed"] is False


def test_time_without_power_needs_a_cut_first(fresh: ThreadBench) -> None:
    status, answer = fresh.ask("POST", "/v1/power/restore", {"off_ms": 5})
    assert status == 409
    assert "power is on; cut it" in answer["error"]


def test_the_syringe_changes_the_truth_and_not_the_belief(fresh: ThreadBench) -> None:
    before = fresh.rig("GET", "/v1/state")
    assert fresh.rig("POST", "/v1/syringe/aspirate", {"nl": 1_000_000})["nl"] == 1_000_000
    after = fresh.rig("GET", "/v1/state")
    assert before["truth"]["true_nl_ppm"] - after["truth"]["true_nl_ppm"] == 1_000_000 * 1_000_000
    assert before["belief"] == after["belief"]
    assert (
        fresh.rig("POST", "/v1/syringe/fill", {"nl": 500_000, "concentration_ng_per_ml": 250_000})["nl"]
        == 500_000
    )
    filled = fresh.rig("GET", "/v1/state")["truth"]
    assert filled["true_nl_ppm"] - after["truth"]["true_nl_ppm"] == 500_000 * 1_000_000


def test_every_fault_tells_what_it_takes_how_it_stands_and_how_often_it_took_effect(
    fresh: ThreadBench,
) -> None:
    fresh.rig("PUT", "/v1/faults/motor-stall", {"on": True, "parameters": {"duration_ms": MS_PER_HOUR}})
    fresh.rig("POST", "/v1/clock/advance", {"ms": MS_PER_HOUR - 1})
    rows = {row["name"]: row for row in fresh.rig("GET", "/v1/faults")["faults"]}
    assert set(rows) == set(FAULTS)
    stall = rows["motor-stall"]
    assert stall["on"] is True
    assert stall["effects"] == fresh.rig("GET", "/v1/state")["truth"]["strokes_missed"] > 0
    assert stall["parameters"][0]["name"] == "duration_ms"
    fresh.rig("POST", "/v1/clock/advance", {"ms": 1})
    rows = {row["name"]: row for row in fresh.rig("GET", "/v1/faults")["faults"]}
    assert rows["motor-stall"]["on"] is False


def test_the_tones_of_an_alarm_are_heard_and_the_truth_has_the_last(fresh: ThreadBench) -> None:
    fresh.rig("PUT", "/v1/faults/motor-stall", {"on": True})
    fresh.rig("POST", "/v1/clock/run-until", {"what": "alarm", "limit_ms": MS_PER_HOUR})
    fresh.rig("POST", "/v1/clock/advance", {"ms": 600_000})
    heard, truth = fresh.rig("GET", "/v1/tones"), fresh.rig("GET", "/v1/state")["truth"]
    assert heard["tones"] == [
        {"at_ms": heard["now_ms"] - before_ms, "critical": True, "duration_ms": 3_000}
        for before_ms in (600_000, 0)
    ]
    assert (truth["tones_played"], truth["last_tone_at_ms"], truth["last_tone_critical"]) == (
        2,
        heard["now_ms"],
        True,
    )


@pytest.mark.parametrize(
    ("name", "body", "complaint"),
    [
        ("motor-stal", {"on": True}, "there is no fault 'motor-stal'; there are motor-stall, "),
        ("accuracy", {"on": True}, "accuracy needs accuracy_ppm, 1 to "),
        ("accuracy", {"on": True, "parameters": {"accuracy_ppm": 0}}, "accuracy_ppm of accuracy must be"),
        ("accuracy", {"on": True, "parameters": {"accuracy_ppm": "9"}}, "parameters.accuracy_ppm: "),
        ("magnet", {"on": False, "parameters": {"near": 1}}, "a fault that ends takes nothing more"),
    ],
)
def test_a_fault_that_cannot_be_caused_is_refused_in_one_sentence(
    bench: ThreadBench, name: str, body: dict[str, Any], complaint: str
) -> None:
    status, answer = bench.ask("PUT", f"/v1/faults/{name}", body)
    assert status == 422
    assert answer["error"].startswith(complaint)


def test_a_held_motor_turns_no_strokes(fresh: ThreadBench) -> None:
    fresh.rig("PUT", "/v1/faults/motor-stall", {"on": True})
    fresh.rig("POST", "/v1/clock/advance", {"ms": MS_PER_HOUR})
    held = fresh.rig("GET", "/v1/state")["truth"]
    assert held["stalled"] is True
    assert (held["strokes_turned"], held["strokes_missed"] > 0) == (0, True)
    fresh.rig("PUT", "/v1/faults/motor-stall", {"on": False})
    fresh.rig("POST", "/v1/clock/advance", {"ms": MS_PER_HOUR})
    assert fresh.rig("GET", "/v1/state")["truth"]["strokes_turned"] > 0


def test_shutdown_answers_and_then_ends_with_0(start: Callable[..., Emulator]) -> None:
    emulator = start("--control", "127.0.0.1:0", "--time", "manual")
    assert emulator.rig("POST", "/v1/shutdown", {}) == {"now_ms": 0}
    assert emulator.wait().code == 0


def test_the_pump_serves_its_line_while_rig_control_is_loaded(start: Callable[..., Emulator]) -> None:
    fresh = start("--control", "127.0.0.1:0")
    caller = Caller.on_pty(fresh.ready["port"])
    caller.connect()
    answers: list[Any] = []
    asking = threading.Thread(target=lambda: answers.append(fresh.rig("GET", "/v1/clock")), daemon=True)
    asking.start()
    served = 0
    while asking.is_alive():
        caller.status()
        served += 1
    asking.join()
    assert answers
    assert served > 1
    caller.close()


def test_the_emulator_under_manual_time_is_the_virtual_pump(fresh: ThreadBench) -> None:
    virtual = VirtualBench(new_pump(load_profile("implanted"), seed=3))
    for hours in (1, 23, 24):
        fresh.rig("POST", "/v1/clock/advance", {"ms": hours * MS_PER_HOUR})
        for _ in range(hours):
            virtual.advance(MS_PER_HOUR)
        assert fresh.rig("GET", "/v1/state")["trace_hash"] == virtual.trace_hash
    assert fresh.rig("GET", "/v1/state")["truth"] == actions.state(virtual).truth


def test_time_does_not_wait_for_ever_for_bytes_that_do_not_come(
    fresh: ThreadBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "BARRIER_S", 0.05)
    status, answer = fresh.ask("POST", "/v1/clock/advance", {"ms": 1, "after_received": 1_000})
    assert status == 409
    assert "1000 of 1000 bytes have not arrived" in answer["error"]
    assert fresh.rig("GET", "/v1/clock")["now_ms"] == 0
    assert fresh.rig("POST", "/v1/clock/advance", {"ms": 1})["now_ms"] == 1


def test_who_waits_when_the_bench_closes_is_told(fresh: ThreadBench) -> None:
    answers: list[Any] = []
    body = {"ms": 1, "after_received": 1}
    asking = threading.Thread(
        target=lambda: answers.append(fresh.ask("POST", "/v1/clock/advance", body)), daemon=True
    )
    asking.start()
    give_up_at_s = time.monotonic() + 20
    while fresh.ask("PUT", "/v1/clock", {"mode": "manual"})[0] != 409:
        assert time.monotonic() < give_up_at_s
    fresh.rig("POST", "/v1/shutdown", {})
    asking.join(20)
    assert answers == [(409, {"error": "the bench is closing"})]


def test_after_a_change_of_pace_the_client_keeps_its_own_time(fresh: ThreadBench) -> None:
    fresh.rig("PUT", "/v1/clock", {"speed": 1_000_000})
    give_up_at_s = time.monotonic() + 20
    while fresh.rig("GET", "/v1/clock")["now_ms"] < MS_PER_DAY:
        assert time.monotonic() < give_up_at_s
    caller = Caller.on_pty(fresh.ready["port"]).connect()
    while fresh.rig("GET", "/v1/clock")["now_ms"] < 3 * MS_PER_DAY:
        assert time.monotonic() < give_up_at_s
    assert caller.status().state is State.RUN, "the session ended with the patient's time"
    fresh.rig("PUT", "/v1/clock", {"mode": "manual"})
    fresh.rig("POST", "/v1/clock/advance", {"ms": MS_PER_HOUR})
    with pytest.raises(AssertionError, match=r"NO_SESSION|SESSION_EXPIRED"):
        caller.status()
    caller.close()


def test_a_missing_web_framework_is_said_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "NEEDED", ("fastapi", "no_such_server"))
    with pytest.raises(
        BadConfigurationError, match=r"--control needs no_such_server; install with: pip install"
    ):
        server.RigServer("127.0.0.1:0", "token", CommandQueue(), lambda _sentence: None)
