"""What somebody sees first of a run: whose fault a failure is, its frames, and skips summed by reason.

Each of device, link, bench, harness and test is broken on purpose, in more than one way, and the summary blames it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple
from xml.etree import ElementTree as ET

import pytest

from tests.unit.hil.runs import hil_run, pytest_on, summary

if TYPE_CHECKING:
    from pathlib import Path

BROKEN = """
    import pytest
    from hil.deadline import Deadline
    from hil.errors import DeviceError
    from hil.instruments.mt_sics import MtSicsBalance
    from hil.noise import Direction
    from protocol.identifiers import State
    from protocol.messages.reading import GetStatus

    def flipped(data): return bytes(b ^ 1 if b > 1 else b for b in data)

    # Behind the back of a test its pump, line or host is broken as `pump_target` allows it.

    def test_a_pump_whose_rotor_is_blocked(pump, pump_rig, pump_target):
        pump_target.rig.stall(on=True)
        bolus = pump.bolus(100_000, 600)
        pump_rig.advance(600_000)
        given_nl = pump.delivery().bolus_nl
        assert given_nl == 100_000

    def test_a_pump_that_restarts(pump, pump_target):
        pump_target.rig.power_cut()
        pump_target.rig.power_restore()
        pump.requester.request_once(GetStatus())

    def test_a_pump_that_refuses(pump):
        pump.bolus(10_000_000, 600)

    @pytest.fixture
    def odd(pump): raise DeviceError("it is odd")
    def test_a_pump_that_is_odd(odd): pass

    def test_a_pump_of_which_a_helper_says_what_is_wrong(pump):
        def check(status): assert status.state is State.STOP
        check(pump.status())

    def test_a_pump_that_does_not_refuse(pump):
        with pytest.raises(DeviceError):
            pump.status()

    def test_a_line_that_damages(pump, pump_target):
        take = pump_target.take
        pump_target.take = lambda deadline_ms: flipped(take(deadline_ms))
        pump.status()

    def test_a_line_that_loses(pump, pump_target):
        put, lost = pump_target.put, []
        pump_target.put = lambda data: put(data) if len(lost) > 1 else lost.append(data)
        pump.requester.request_once(GetStatus(), Deadline.after(1_000, pump.session.now_ms()))

    def test_code_of_the_harness_that_breaks(pump):
        pump.session._end = None
        pump.status()

    def test_a_host_that_is_late(pump, pump_target):
        def take(deadline_ms):
            pump_target.bench.advance(max(1, deadline_ms + 5_000 - pump_target.bench.now_ms))
            return b""
        pump_target.take = take
        pump.status()

    def test_that_is_wrong(pump):
        pump.status()
        assert 1 == 2

    @pytest.fixture
    def broken(): return {}["nothing"]
    def test_whose_fixture_is_wrong(broken, pump): pass

    def test_that_proves_nothing(pump, pump_line):
        pump_line.drop(Direction.TO_PUMP, skip=99)

    def test_that_cuts_the_power(pump, pump_rig):
        pump_rig.power_cut()
        pump.status()

    def test_nobody_answers(pump, pump_target):
        def take(deadline_ms):
            pump_target.bench.advance(max(0, deadline_ms - pump_target.bench.now_ms))
            return b""
        pump_target.take = take
        pump.status()

    @pytest.mark.parametrize("n", range(3))
    def test_skips(pump, n): pytest.skip("no board")
    def test_skips_too(pump): pytest.skip("no time")

    def test_a_balance_that_is_silent(pump, pump_channel):
        MtSicsBalance(lambda: pump_channel, "left", resolution_ug=100, limit_ms=500).weigh()
"""


class Said(NamedTuple):
    """What is said of a broken test: whose fault, and what its evidence has."""

    accused: str
    evidence: str


SAID = {
    "a_pump_whose_rotor_is_blocked": Said("device", "is not as `given_nl == 100000` expects"),
    "a_pump_that_restarts": Said("device", "no answer came, and the pump has started again by itself"),
    "a_pump_that_refuses": Said(
        "device", "the pump itself answered so (DeviceRefused: BOLUS_PREPARE refused"
    ),
    "a_pump_that_is_odd": Said("device", "the pump itself answered so (DeviceError: it is odd)"),
    "a_pump_of_which_a_helper_says_what_is_wrong": Said("device", "is not as `status.state is State.STOP`"),
    "a_pump_that_does_not_refuse": Said(
        "device", "is not as `with pytest.raises(DeviceError): pump.status()`"
    ),
    "a_line_that_damages": Said("link", "no answer came, and frames arrived damaged [damaged frames here: "),
    "a_line_that_loses": Said("link", "the pump, which was up all the while, answers now"),
    "code_of_the_harness_that_breaks": Said("harness", "code of pumpbench raised AttributeError"),
    "a_host_that_is_late": Said("harness", "ms after its own deadline (load "),
    "that_is_wrong": Said("test", "concerns nothing that came from the pump"),
    "whose_fixture_is_wrong": Said("test", "the test's own code raised KeyError: 'nothing'"),
    "that_proves_nothing": Said("test", "UsageError: faults on the line that did not fire"),
    "that_cuts_the_power": Said("test", "has cut the pump's power with its rig and not restored it"),
    "nobody_answers": Said("not known", "the pump may be without power or hang, or its line be open"),
    "a_balance_that_is_silent": Said(
        "bench", "an instrument failed (BenchLost: the balance left has not answered"
    ),
}


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    directory = tmp_path_factory.mktemp("failed")
    done = pytest_on(
        directory, BROKEN, "--hil-target", "emulator", "--hil-report", "report", "-n0", "-rN", "--tb=short"
    )
    assert done.returncode == 7, done.stdout + done.stderr  # an instrument that fails ends a run
    return directory, done


@pytest.mark.parametrize("name", SAID)
def test_each_failure_names_first_whose_fault_it_is_and_by_what_evidence(
    name: str, failed: tuple[Path, Any]
) -> None:
    directory, done = failed
    accused, evidence = SAID[name]
    assert f"test_{name} (accused: {accused})" in done.stdout
    after = summary(directory).split(f"test_it.py::test_{name}\n")[1]
    assert after.startswith(f"accused: {accused}\nevidence: ")
    assert evidence in after.splitlines()[1]
    for text in (done.stdout, summary(directory)):
        (row,) = [row for row in text.splitlines() if f"  {accused}: test_it.py::test_{name}: " in row]
        assert evidence in row


def test_a_run_says_first_how_many_failures_are_whose_and_programs_read_whose_fault_it_is_and_by_what_evidence(
    failed: tuple[Path, Any],
) -> None:
    directory, done = failed
    head = "16 failures: 6 device, 4 test, 2 link, 2 harness, 1 bench, 1 not known"
    assert done.stdout.split(" pumpbench ---")[1].splitlines()[1] == head
    assert summary(directory).split("\n\n")[1].splitlines()[0] == head
    document = json.loads((directory / "report" / "report.json").read_text())
    assert document["run"]["accused"] == {
        "device": 6, "link": 2, "bench": 1, "harness": 2, "test": 4, "not known": 1
    }  # fmt: skip
    rows = {row["name"].partition("::test_")[2]: row for row in document["tests"] if row["accused"]}
    assert {name: row["accused"] for name, row in rows.items()} == {
        name: s.accused for name, s in SAID.items()
    }
    assert all(said.evidence in rows[name]["evidence"] for name, said in SAID.items())
    for case in ET.parse(directory / "report" / "junit.xml").iter("testcase"):  # noqa: S314 - our own
        name = str(case.get("name")).removeprefix("test_")
        told = {each.get("name"): each.get("value") for each in case.iter("property")}
        if name in SAID:
            assert told["accused"] == SAID[name].accused
            assert SAID[name].evidence in str(told["evidence"])


def test_frames_of_a_failure_are_at_most_100_columns_wide(failed: tuple[Path, Any]) -> None:
    directory, _ = failed
    frames = summary(directory).split("last frames:\n")[1].split("\n\n")[0].splitlines()
    assert len(frames) > 4
    assert max(map(len, frames)) <= 100
    assert "".join(frames).count("-->") >= 2


def test_skips_are_summed_by_reason_the_most_frequent_first(failed: tuple[Path, Any]) -> None:
    directory, done = failed
    for text in (done.stdout, summary(directory)):
        assert "   3 x no board\n   1 x no time\n" in text


def test_the_suite_does_not_name_each_skip(tmp_path: Path) -> None:
    done = hil_run(tmp_path, "--target", "emulator:process", "-k", "snapshot or test_a_frame_that_comes_byte")
    assert "SKIPPED [" not in done.stdout
