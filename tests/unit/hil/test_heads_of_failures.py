"""What somebody sees first of a run: whose fault a failure is, its frames, and skips summed by reason."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from tests.unit.hil.runs import hil_run, pytest_on, summary

if TYPE_CHECKING:
    from pathlib import Path

FAILING = """
    import pytest
    from hil.errors import DeviceError, LinkError

    def test_of_the_test(pump): assert 1 == 2
    def test_of_the_link(pump): raise LinkError("no answer")
    @pytest.fixture
    def broken(pump): raise DeviceError("it is odd")
    def test_of_the_device(broken): pass
    @pytest.mark.parametrize("n", range(3))
    def test_skips(pump, n): pytest.skip("no board")
    def test_skips_too(pump): pytest.skip("no time")
"""


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    directory = tmp_path_factory.mktemp("failed")
    done = pytest_on(directory, FAILING, "--hil-target", "emulator", "--hil-report", "report", "-n0", "-rN")
    assert done.returncode == 1, done.stdout + done.stderr
    return directory, done


ACCUSED = {"test_of_the_test": "test", "test_of_the_link": "link", "test_of_the_device": "device"}


def test_each_failure_names_first_whose_fault_it_is(failed: tuple[Path, Any]) -> None:
    directory, done = failed
    text = summary(directory)
    for name, accused in ACCUSED.items():
        assert f"{name} (accused: {accused})" in done.stdout
        after = text.split(f"test_it.py::{name}\n")[1]
        assert after.startswith(f"accused: {accused}\n")
    rows = json.loads((directory / "report" / "report.json").read_text())["tests"]
    named = {row["name"].partition("::")[2]: row["accused"] for row in rows if row["accused"]}
    assert named == ACCUSED
    cases = ET.parse(directory / "report" / "junit.xml").iter("testcase")  # noqa: S314 - our own
    assert set(ACCUSED) <= {case.get("name") for case in cases}


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
