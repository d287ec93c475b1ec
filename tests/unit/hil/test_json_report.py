"""What programs read of a run: report.json, with one object a test, also of those that did not run."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner

from hil.cli.main import cli
from hil.report import documents
from tests.support.lacking import keep_no_snapshots
from tests.unit.hil.runs import five_tests, hil_run, pytest_on
from tests.unit.hil.test_json_schema import closed

SCHEMA = json.loads((Path(documents.__file__).parent / "report.schema.json").read_bytes())
IN_PROCESS = ("--hil-target", "emulator", "--hil-report", "report")
MIXED = """
    import pytest
    from hil.errors import LinkError
    from hil.plugin import verifies

    @verifies("FRM-001", "FRM-002")
    def test_passes(pump): pass

    def test_fails(pump): assert 1 == 2

    def test_link(pump): raise LinkError("no answer")

    def test_skips(pump): pytest.skip("no board")
"""


def document_of(directory: Path) -> dict[str, Any]:
    document = json.loads((directory / "report" / "report.json").read_text())
    assert isinstance(document, dict)
    jsonschema.validate(document, closed(SCHEMA), jsonschema.Draft202012Validator)
    return document


def verified(directory: Path, *options: str) -> dict[str, Any]:
    """What `report verify` finds of the report there."""
    words = ["report", "verify", str(directory / "report"), "--json", *options]
    document: dict[str, Any] = json.loads(CliRunner().invoke(cli, words).stdout)
    return document


def test_the_json_report_says_what_ran_on_what_and_how_each_test_ended(tmp_path: Path) -> None:
    done = pytest_on(tmp_path, MIXED, *IN_PROCESS, "--hil-seed", "7")
    assert done.returncode == 1, done.stdout + done.stderr
    document = document_of(tmp_path)
    assert document["schema"] == {"name": "pumpbench-report", "version": 1}
    assert document["run"]["ended"] is document["run"]["complete"] is True
    assert document["run"]["exit_code"] == 1
    assert document["target"]["address"] == "emulator"
    assert document["target"]["device"].startswith("EMULATED pump")
    assert document["versions"]["pumpbench"] == metadata.version("pumpbench")
    assert (document["seed"], document["profile"]) == (7, "implanted")
    rows = {test["name"].partition("::")[2]: test for test in document["tests"]}
    assert {name: row["outcome"] for name, row in rows.items()} == {
        "test_passes": "passed",
        "test_fails": "failed",
        "test_link": "failed",
        "test_skips": "skipped",
    }
    assert rows["test_passes"]["requirements"] == ["FRM-001", "FRM-002"]
    assert rows["test_skips"]["reason"] == "no board"
    assert all(row["duration_s"] > 0 for row in rows.values())


def test_tests_that_did_not_run_are_in_the_json_report_and_it_is_not_complete(tmp_path: Path) -> None:
    done = pytest_on(tmp_path, five_tests("os._exit(0)"), *IN_PROCESS)
    assert done.returncode == 3
    document = document_of(tmp_path)
    assert document["run"]["complete"] is False
    assert document["run"]["exit_code"] == 3
    assert [test["outcome"] for test in document["tests"]] == ["passed", *["did not run"] * 4]
    whole, strict = (verified(tmp_path, *options) for options in ((), ("--strict",)))
    assert (whole["state"], whole["run"]["exit_code"], "error" in whole) == ("whole", 3, False)
    assert "the run is not complete: 1 passed, 4 did not run" in strict["not_shown"][-1]
    assert strict["error"]["exit_code"] == 15


def test_a_run_that_was_killed_leaves_no_json_report_of_an_older_one(tmp_path: Path) -> None:
    pytest_on(tmp_path, MIXED, *IN_PROCESS)
    done = pytest_on(tmp_path, five_tests("os.kill(os.getpid(), signal.SIGKILL)"), *IN_PROCESS)
    assert done.returncode == -9
    assert not (tmp_path / "report" / "report.json").exists()
    error = verified(tmp_path)["error"]
    assert (error["exit_code"], "its run was killed before it could write" in error["message"]) == (10, True)


def test_a_run_that_never_begins_leaves_no_json_report_of_an_older_one(tmp_path: Path) -> None:
    pytest_on(tmp_path, MIXED, *IN_PROCESS)
    assert hil_run(tmp_path, "--target", "nonsense://x").returncode == 10
    assert not (tmp_path / "report" / "report.json").exists()


CLAIMS = """
    import pytest
    from hil.plugin import needs, verifies

    @pytest.fixture
    def broken(): raise RuntimeError("broken")

    @verifies("FRM-001")
    @needs("snapshot")
    def test_is_skipped(pump): pass

    @verifies("FRM-001")
    def test_takes_no_pump(): pass

    @verifies("FRM-001")
    def test_breaks_before(broken, pump): pass

    @verifies("FRM-001")
    def test_ends_the_run(pump): pytest.exit("enough")

    @verifies("FRM-001")
    def test_never_runs(pump): pass
"""


def test_each_test_has_its_requirements_in_the_report_however_far_it_came(tmp_path: Path) -> None:
    arguments = ("--hil-target", "emulator:process", "--hil-report", "report")
    keep_no_snapshots(tmp_path)
    pytest_on(tmp_path, CLAIMS, *arguments)
    tests = document_of(tmp_path)["tests"]
    assert len(tests) == 5
    assert all(test["requirements"] == ["FRM-001"] for test in tests)
    text = (tmp_path / "report" / "summary.txt").read_text()
    assert "\nrequirements\nFRM-001      1 passed, 1 error, 1 skipped, 2 did not run\n" in text


def test_each_test_has_its_requirements_where_workers_run_them(tmp_path: Path) -> None:
    pytest_on(tmp_path, CLAIMS.replace('pytest.exit("enough")', "pass"), *IN_PROCESS, "-n", "2", "-x")
    tests = document_of(tmp_path)["tests"]
    assert len(tests) == 5
    assert all(test["requirements"] == ["FRM-001"] for test in tests)


SETS_CODE = "import pytest\ndef pytest_{hook}: pytest.exit('no', returncode=7)\n"


@pytest.mark.one_in(6)
@pytest.mark.parametrize(
    ("conftest", "arguments"),
    [
        ("", ("--hil-target", "nonsense")),
        ("", ("--hil-seed", "-5")),
        (SETS_CODE.format(hook="sessionstart()"), ()),
        ("def pytest_sessionstart(): raise KeyboardInterrupt\n", ()),
        ("def pytest_sessionstart(): raise ValueError\n", ()),
        (SETS_CODE.format(hook="collection()"), ()),
        (SETS_CODE.format(hook="sessionfinish()"), ()),
        ("def pytest_unconfigure(config): config.pluginmanager.get_plugin('session').exitstatus = 7\n", ()),
        ("import os\ndef pytest_unconfigure(): os._exit(7)\n", ()),
    ],
)
def test_the_json_report_has_the_exit_code_of_the_process(
    conftest: str, arguments: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "conftest.py").write_text(conftest)
    done = pytest_on(tmp_path, "def test_x(pump): pass\n", *IN_PROCESS, *arguments)
    assert done.returncode not in {0, None}
    run = document_of(tmp_path)["run"]
    assert run["exit_code"] == done.returncode, done.stdout + done.stderr
    assert run["complete"] is (run["result"] == "1 passed on emulator")
