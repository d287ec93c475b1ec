"""A test that failed by link or bench may be run again; no try is lost, and what passed then has not simply passed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

import hil
from hil.connected_programmer import CONNECTED
from hil.report.records import RETRIES_MAX
from hil.run.retrying import hindrance
from tests.unit.hil.runs import IN_PROCESS, pytest_on, summary

if TYPE_CHECKING:
    from pathlib import Path

TRIES = """
    from collections import Counter
    import pytest
    from hil.errors import DeviceError, LineGap
    from hil.instruments.mt_sics import MtSicsBalance
    from hil.plugin import verifies
    from protocol.identifiers import State

    tries = Counter()

    @pytest.fixture
    def number(request):
        tries[request.node.name] += 1
        return tries[request.node.name]

    @pytest.fixture
    def bad_line(pump, pump_target):
        def become_bad():
            take = pump_target.take
            pump_target.take = lambda deadline_ms: bytes(b ^ 1 if b > 1 else b for b in take(deadline_ms))
            pump.status()
        return become_bad

    @verifies("FRM-001")
    def test_a_line_that_is_bad_once(number, bad_line, pump, measure):
        measure("try", number, "1")
        if number == 1: bad_line()
        assert pump.status().last_cmd_id == 0

    def test_a_line_that_stays_bad(number, bad_line): bad_line()

    def test_a_balance_that_is_silent_once(number, pump, pump_channel):
        if number == 1:
            MtSicsBalance(lambda: pump_channel, "left", resolution_ug=100, limit_ms=500).weigh()

    @pytest.fixture
    def bad_at_first(number, bad_line):
        if number == 1: bad_line()
    def test_a_fixture_that_has_no_line_once(bad_at_first): pass

    def test_a_pump_that_is_wrong(number, pump): assert pump.status().state is State.STOP

    def test_that_is_wrong(number, pump): assert number == 0

    def test_that_is_wrong_the_second_time(number, bad_line, pump):
        if number == 1: bad_line()
        raise DeviceError("odd")

    def test_that_skips_the_second_time(number, bad_line, pump):
        if number == 1: bad_line()
        pytest.skip("has seen enough")

    @pytest.fixture
    def ends_badly(bad_line):
        yield
        raise KeyError("cannot be ended")
    def test_that_cannot_be_ended(number, ends_badly, bad_line): bad_line()

    def test_that_uses_no_bench(number): raise LineGap("its own line was lost")

    def test_that_is_good(pump): pass

    def test_how_often(): print("TRIES", dict(tries)); assert False
"""
NAMES = {
    "a_line_that_is_bad_once": ("passed on retry", 2, None),
    "a_line_that_stays_bad": ("failed", 2, "link"),
    "a_balance_that_is_silent_once": ("passed on retry", 2, None),
    "a_fixture_that_has_no_line_once": ("passed on retry", 2, None),
    "a_pump_that_is_wrong": ("failed", 1, "device"),
    "that_is_wrong": ("failed", 1, "test"),
    "that_is_wrong_the_second_time": ("failed", 2, "device"),
    "that_skips_the_second_time": ("failed", 2, "link"),
    "that_cannot_be_ended": ("error", 1, "test"),
    "that_uses_no_bench": ("failed", 1, "link"),
    "that_is_good": ("passed", 1, None),
    "how_often": ("failed", 1, "test"),
}
"""How each test ends in the end, how often it is run, and who is accused then."""


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, dict[str, Any]]:
    directory = tmp_path_factory.mktemp("tried")
    done = pytest_on(directory, TRIES, *IN_PROCESS, "--hil-retries", "1", "-n0", "-rN", "--tb=short")
    assert done.returncode == 1, done.stdout + done.stderr
    document = json.loads((directory / "report" / "report.json").read_text())
    rows = {row["name"].partition("::test_")[2]: row for row in document["tests"]}
    return directory, done.stdout, {"rows": rows, **document}


def test_link_and_bench_alone_are_tried_again_and_the_last_try_decides(
    tried: tuple[Path, str, dict[str, Any]],
) -> None:
    _, said, document = tried
    rows = document["rows"]
    assert {name: (row["outcome"], row["accused"]) for name, row in rows.items()} == {
        name: (outcome, accused) for name, (outcome, _, accused) in NAMES.items()
    }
    counts = {
        f"test_{name}": tries
        for name, (_, tries, _) in NAMES.items()
        if name not in {"that_is_good", "how_often"}
    }
    assert f"TRIES {counts}" in said
    assert document["run"]["result"].startswith("1 passed, 3 passed on retry, 7 failed, 1 error on")


def test_no_try_is_lost_and_each_keeps_its_frames(tried: tuple[Path, str, dict[str, Any]]) -> None:
    directory, _, document = tried
    text = summary(directory)
    for name, (_, tries, _) in NAMES.items():
        attempts = document["rows"][name]["attempts"]
        assert len(attempts) == tries - 1, name
        assert text.count("ATTEMPT 1 ") == 6
        for attempt in attempts:
            assert attempt["accused"] in {"link", "bench"}
            assert "-->" in attempt["frames"]
            assert "run again on a new pump" in attempt["evidence"]
            block = text.split(f"ATTEMPT 1 FAILED test_it.py::test_{name}\n")[1].split("-" * 72)[0]
            assert block.startswith(f"accused: {attempt['accused']}\n")
            assert "last frames:" in block
    assert document["rows"]["a_line_that_is_bad_once"]["measurements"][-1]["value"] == 2


def test_what_passed_at_a_second_try_is_not_shown_as_simply_passed(
    tried: tuple[Path, str, dict[str, Any]],
) -> None:
    directory, said, document = tried
    assert "1 passed, 1 error, 6 rerun, 3 passed on retry" in said
    text = summary(directory)
    assert (
        "\npassed on retry\ntest_it.py::test_a_line_that_is_bad_once: try 1 failed, link: no answer came"
        in text
    )
    assert "FRM-001      1 passed on retry\n" in text
    shown = {row["id"]: row["shown"] for row in document["requirements"]}
    assert shown["FRM-001"] == "passed in part"
    cases = list(ET.parse(directory / "report" / "junit.xml").iter("testcase"))  # noqa: S314 - our own
    assert len({case.get("name") for case in cases}) == len(NAMES)
    assert len(cases) == len(NAMES) + 1  # pytest tells failure and error of a test that cannot be ended apart
    (case,) = [case for case in cases if case.get("name") == "test_a_line_that_is_bad_once"]
    told = {each.get("name"): str(each.get("value")) for each in case.iter("property")}
    assert told["attempt"].startswith("1: link: no answer came, and frames arrived damaged")
    assert "accused" not in told  # of a try before
    (flaky,) = case.iter("flakyFailure")
    assert str(flaky.get("message")).startswith("link: no answer came")
    assert "-->" in str(flaky.text)
    assert sum(len(list(case.iter("rerunFailure"))) for case in cases) == 3


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a_line_that_stays_bad", "not run again: 1 retries are all"),
        (
            "that_uses_no_bench",
            "not run again: it talked to a pump by itself, and nobody knows what that was told",
        ),
        ("that_skips_the_second_time", "then it was skipped: Skipped: has seen enough"),
    ],
)
def test_why_there_is_no_further_try_is_said(
    name: str, words: str, tried: tuple[Path, str, dict[str, Any]]
) -> None:
    assert words in tried[2]["rows"][name]["evidence"]


def test_a_run_in_workers_has_the_same_tries_and_ends_well_where_all_passed_in_the_end(
    tmp_path: Path,
) -> None:
    two = TRIES.partition("    def test_a_line_that_stays_bad")[0]
    done = pytest_on(tmp_path, two, *IN_PROCESS, "--hil-retries", "1", "-n", "1")
    assert done.returncode == 0, done.stdout
    text = summary(tmp_path)
    assert "result    1 passed on retry on emulator\n" in text
    assert "ATTEMPT 1 FAILED test_it.py::test_a_line_that_is_bad_once\naccused: link\n" in text


def test_a_test_that_connects_to_a_pump_by_itself_is_not_tried_again(
    on_a_port: tuple[str, str], request: pytest.FixtureRequest
) -> None:
    failed = pytest.TestReport("x", ("x", 0, "x"), {}, "failed", None, "setup")
    before = CONNECTED.total()
    with hil.connect(None, state=False):
        assert CONNECTED.total() == before  # a pump that ends with its programmer
    assert hindrance(request.node, [failed], connected=False) == ""
    with hil.connect(on_a_port[1], state=False):
        assert CONNECTED.total() == before + 1
    assert hindrance(request.node, [failed], connected=True).startswith("it talked to a pump by itself")


def test_there_is_a_limit_to_trying_again(tmp_path: Path) -> None:
    done = pytest_on(tmp_path, "def test_x(pump): pass\n", *IN_PROCESS, "--hil-retries", str(RETRIES_MAX + 1))
    assert done.returncode == 4, done.stdout
    assert f"a number of retries from 0 to {RETRIES_MAX} is expected, not {RETRIES_MAX + 1}" in done.stderr
