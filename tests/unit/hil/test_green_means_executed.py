"""An exit code of 0 means that a test was executed and passed, whatever is installed or set around the run."""

from __future__ import annotations

import json
import shutil
import textwrap
from pathlib import Path

import pytest

from hil.report.records import NAMES
from tests.support.lacking import keep_no_snapshots
from tests.support.warm_python import HOUSE
from tests.unit.hil.runs import hil_run, pytest_on, summary, third_party_plugin

A_FEW = "byte_by_byte or two_frames"

# Others have fixtures of these names: one skips without its hardware, one wants a parameter that is not there.
NEIGHBOUR = """
    import pytest

    @pytest.fixture
    def target(request):
        pytest.skip("no environment was configured")

    @pytest.fixture
    def rig(request):
        return request.param

    line = channel = test_bench = rig

    def pytest_collection_finish(session):
        print("the neighbour is here")
"""

OWN_TESTS = """
    from protocol.identifiers import State

    def test_pump(pump, pump_rig, pump_target, pump_line, pump_channel, pump_as, open_programmer):
        pump_rig.advance(1_000)
        assert pump.status().state is State.RUN

    def test_target(target): pass
"""


@pytest.fixture(scope="module")
def neighbour(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return third_party_plugin(tmp_path_factory.mktemp("neighbour"), NEIGHBOUR)


def test_a_neighbours_plugin_takes_no_part_in_a_run_of_the_suite(neighbour: Path, tmp_path: Path) -> None:
    done = hil_run(tmp_path, "-k", "test_framing or test_a_cut", "--", "-s", first=neighbour)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout
    assert "the neighbour is here" not in done.stdout


def test_a_users_own_tests_may_use_our_fixtures_beside_a_neighbours_of_the_old_names(
    neighbour: Path, tmp_path: Path
) -> None:
    done = pytest_on(tmp_path, OWN_TESTS, "-s", "--hil-target", "emulator", first=neighbour)
    assert done.returncode == 0, done.stdout
    assert "the neighbour is here" in done.stdout
    assert "1 passed, 1 skipped" in done.stdout


@pytest.mark.one_in(6)
@pytest.mark.parametrize(
    "env",
    [
        {"PYTEST_ADDOPTS": "--collect-only"},
        {"PYTEST_ADDOPTS": "-k nothing_of_this_name"},
        {"PYTEST_PLUGINS": "neighbour"},
        {"PYTEST_TIMEOUT": "0.0001"},
    ],
    ids=str,
)
def test_settings_for_somebodys_pytest_are_not_about_the_suite(
    env: dict[str, str], neighbour: Path, tmp_path: Path
) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --collect-only\n")
    (tmp_path / "conftest.py").write_text("raise SystemExit('a conftest that is not ours')\n")
    done = hil_run(tmp_path, "-k", A_FEW, "--", "-s", env=env, first=neighbour)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
    assert "the neighbour is here" not in done.stdout


def installed_in(place: Path) -> Path:
    """A copy of what an installation has; its place."""
    for package in ("hil", "protocol", "firmware_emu"):
        shutil.copytree(HOUSE / package, place / package, ignore=shutil.ignore_patterns("__pycache__"))
    return place


def test_a_conftest_above_the_installation_takes_no_part(tmp_path: Path) -> None:
    place = installed_in(tmp_path / "site")
    (place / "conftest.py").write_text("raise SystemExit('a conftest that is not ours')\n")
    done = hil_run(tmp_path, "-k", A_FEW, first=place)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_installation_without_the_suite_says_so_and_ends_10(tmp_path: Path) -> None:
    place = installed_in(tmp_path / "site")
    for file in (place / "hil" / "suite").glob("test_*.py"):
        file.unlink()
    done = hil_run(tmp_path, first=place)
    assert done.returncode == 10, done.stdout
    assert "the conformance suite is missing from this installation" in done.stderr


def test_what_stands_after_the_dashes_still_reaches_pytest(neighbour: Path, tmp_path: Path) -> None:
    done = hil_run(tmp_path, "-k", A_FEW, "--", "-v", "-s", "-p", "neighbour", first=neighbour)
    assert done.returncode == 0, done.stdout
    assert "PASSED" in done.stdout
    assert "the neighbour is here" in done.stdout


SKIPS = """
    import pytest
    from hil.plugin import needs

    @needs("snapshot")
    def test_needs(pump): pass

    def test_skips_in_the_middle(pump): pytest.skip("no snapshot")

    @pytest.mark.skip(reason="not today")
    def test_never(pump): pass
"""
XFAILS = """
    import pytest

    @pytest.mark.xfail(reason="known", strict=False)
    def test_fails_as_expected(pump): assert not pump

    @pytest.mark.xfail(reason="not tried", run=False)
    def test_is_not_even_run(pump): pass
"""
PASSES = "def test_one(pump): pass\ndef test_two(pump): pass\n"
EXITS = "import pytest\ndef test_one(pump): pytest.exit('enough', returncode=0)\ndef test_two(pump): pass\n"


@pytest.mark.one_in(6)
@pytest.mark.parametrize("report", [True, False], ids=["with a report", "without"])
@pytest.mark.parametrize(
    ("text", "arguments", "code", "sentence"),
    [
        (SKIPS, (), 5, "no test was executed: of 3 chosen 3 skipped (most often: "),
        (XFAILS, (), 5, "no test was executed: of 2 chosen 2 xfailed (most often: "),
        (
            *(PASSES, ("-k", "nothing_of_this_name"), 5),
            "no test was executed: none was chosen: all 2 that were found are left out, by -k, -m, --deselect",
        ),
        (PASSES, ("--deselect=test_it.py",), 5, "no test was executed: none was chosen"),
        (PASSES, ("--setup-only",), 5, "2 of 2 tests did not run (--setup-only"),
        (PASSES, ("--setup-plan",), 5, "2 of 2 tests did not run (--setup-only and --setup-plan"),
        (EXITS, (), 5, "2 of 2 tests did not run (enough)"),
    ],
    ids=["skipped", "xfailed", "-k", "--deselect", "--setup-only", "--setup-plan", "pytest.exit"],
)
def test_a_run_in_which_no_test_was_executed_ends_5_with_a_sentence(
    text: str, arguments: tuple[str, ...], code: int, sentence: str, report: bool, tmp_path: Path
) -> None:
    wanted = ("--hil-report", str(tmp_path / "report")) if report else ()
    keep_no_snapshots(tmp_path)
    target = "emulator:process" if text is SKIPS else "emulator"
    done = pytest_on(tmp_path, text, "--hil-target", target, *wanted, *arguments)
    assert done.returncode == code, done.stdout + done.stderr
    assert sentence in "\n".join(done.stdout.splitlines()[-3:])
    if report:
        result = summary(tmp_path).splitlines()[3]
        assert result.startswith(("result    INCOMPLETE: ", "result    NOTHING EXECUTED: "))


def test_a_port_that_is_not_there_is_said_once_and_is_why_no_test_was_executed(tmp_path: Path) -> None:
    """Pytest prints twice what ends a session, and our last line was the third."""
    done = hil_run(tmp_path, "--target", f"pty:{tmp_path}/nowhere")
    assert done.returncode == 10, done.stdout
    said = done.stdout + done.stderr
    assert said.count(f"there is no port at {tmp_path}/nowhere") == 1, said
    assert "no test was executed: configuration: there is no port at" in said


def test_a_run_of_the_suite_in_which_all_is_skipped_ends_5(tmp_path: Path) -> None:
    keep_no_snapshots(tmp_path)
    own = tmp_path / "test_own.py"
    own.write_text("from hil.plugin import needs\n@needs('snapshot')\ndef test_alone(pump): pass\n")
    done = hil_run(tmp_path, "--target", "emulator:process", "-k", "test_alone", "--", str(own))
    assert done.returncode == 5, done.stdout
    assert "no test was executed: of 1 chosen 1 skipped (most often: emulator:process cannot: snapshot)" in (
        done.stdout
    )


FAILS = "def test_bad(pump): assert 1 == 2\ndef test_good(pump): pass\n"


@pytest.mark.one_in(6)
@pytest.mark.parametrize(
    "hook",
    [
        "def pytest_sessionfinish(session): session.exitstatus = 0",
        "@pytest.hookimpl(trylast=True)\ndef pytest_sessionfinish(session): session.exitstatus = 0",
        (
            "@pytest.hookimpl(wrapper=True, tryfirst=True)\ndef pytest_sessionfinish(session):\n"
            "    yield\n    session.exitstatus = 0"
        ),
        "def pytest_sessionfinish(session): pytest.exit('done', returncode=0)",
        "def pytest_unconfigure(): os._exit(0)",
    ],
    ids=["finish", "last", "wrapper", "pytest.exit", "os._exit"],
)
def test_no_hook_turns_a_run_with_a_failed_test_green(hook: str, tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(f"import os\nimport pytest\n{hook}\n")
    report = ("--hil-report", str(tmp_path / "report"))
    done = pytest_on(tmp_path, FAILS, "--hil-target", "emulator", *report)
    assert done.returncode not in {0, None}, done.stdout
    assert "result    1 passed, 1 failed" in summary(tmp_path)


def test_a_hook_that_ends_the_run_with_0_before_it_begins_does_not_end_it_green(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(
        "import pytest\ndef pytest_sessionstart(): pytest.exit('no', returncode=0)\n"
    )
    done = pytest_on(tmp_path, PASSES, "--hil-target", "emulator", "--hil-report", "report")
    assert done.returncode == 3, done.stdout + done.stderr
    assert "result    NOTHING EXECUTED: " in summary(tmp_path)


@pytest.mark.parametrize("code", [0, 256])
def test_a_hook_that_ends_the_run_with_0_before_we_are_asked_does_not_end_it_green(
    code: int, tmp_path: Path
) -> None:
    (tmp_path / "conftest.py").write_text(
        f"import pytest\ndef pytest_configure(): pytest.exit('no', returncode={code})\n"
    )
    done = pytest_on(tmp_path, PASSES, "--hil-target", "emulator")
    assert done.returncode == 3, done.stdout + done.stderr


# What is left of a run when pytest has ended: threads, and what Python does at its exit.
LEAVES = {
    "a thread": "threading.Thread(target=lambda: (threading.main_thread().join(), os._exit(0))).start()",
    "atexit": "atexit.register(lambda: os._exit(0))",
    "atexit, of before": "atexit.register(os._exit, 0)",
    "atexit, a multiple of 256": "atexit.register(lambda: os._exit(256))",
}


@pytest.mark.one_in(6)
@pytest.mark.parametrize("leaves", LEAVES)
@pytest.mark.parametrize(("tests", "code"), [(FAILS, 1), (PASSES, 0)], ids=["failed", "passed"])
def test_what_ends_the_process_after_pytest_has_ended_leaves_the_exit_code_of_the_run(
    tests: str, code: int, leaves: str, tmp_path: Path
) -> None:
    text = f"import atexit, os, threading\n{tests}\ndef test_leaves_it_behind(): {LEAVES[leaves]}\n"
    done = pytest_on(tmp_path, text, "--hil-target", "emulator")
    assert done.returncode == code, done.stdout + done.stderr


@pytest.mark.one_in(6)
@pytest.mark.parametrize(
    ("text", "hook", "code"),
    [
        ("import os\ndef test_one(): os._exit(256)\n", "", 3),
        ("import pytest\ndef test_one(): pass\ndef test_two(): pytest.exit('x', returncode=256)\n", "", 2),
        (FAILS, "def pytest_sessionfinish(session): session.exitstatus = 512", 1),
        (FAILS, "def pytest_sessionfinish(session): pytest.exit('done', returncode=256)", 1),
    ],
    ids=["os._exit", "pytest.exit", "finish", "pytest.exit at the finish"],
)
def test_an_exit_code_that_the_system_takes_for_0_is_taken_for_0(
    text: str, hook: str, code: int, tmp_path: Path
) -> None:
    (tmp_path / "conftest.py").write_text(f"import pytest\n{hook}\n")
    done = pytest_on(tmp_path, text, "--hil-target", "emulator")
    assert done.returncode == code, done.stdout + done.stderr


def test_a_run_whose_record_is_switched_off_is_refused_with_10(tmp_path: Path) -> None:
    done = hil_run(tmp_path, "-k", A_FEW, "--", "-p", "no:pumpbench-recorder")
    assert done.returncode == 10, done.stdout + done.stderr
    assert "-p no:pumpbench-recorder" in done.stdout
    assert "result    NOTHING EXECUTED: " in summary(tmp_path)


def test_a_report_without_a_name_is_refused_with_10(tmp_path: Path) -> None:
    done = hil_run(tmp_path, "--report", "", "-k", A_FEW)
    assert done.returncode == 10, done.stdout + done.stderr
    assert "--report names no directory" in done.stderr
    own = pytest_on(tmp_path, PASSES, "--hil-report", "")
    assert own.returncode == 10, own.stdout + own.stderr
    assert "--hil-report names no directory" in own.stderr


@pytest.mark.parametrize("more", [(), ("--assert=plain",), ("-p", "no:assertion")])
def test_a_python_that_leaves_assertions_out_is_refused(more: tuple[str, ...], tmp_path: Path) -> None:
    arguments = ("--hil-target", "emulator", *more)
    done = pytest_on(tmp_path, FAILS, *arguments, env={"PYTHONOPTIMIZE": "1"})
    assert done.returncode == 10, done.stdout
    assert "leaves assertions out" in done.stdout + done.stderr


def test_tests_that_were_found_and_left_out_are_counted_in_the_report(tmp_path: Path) -> None:
    report = ("--hil-report", str(tmp_path / "report"))
    done = pytest_on(tmp_path, PASSES, "--hil-target", "emulator", *report, "-k", "test_one")
    assert done.returncode == 0, done.stdout
    assert "selected  1 of 2 tests that were found" in summary(tmp_path)


@pytest.mark.parametrize(("beside", "code"), [("", 5), (PASSES, 0)], ids=["alone", "beside tests that pass"])
def test_a_file_that_skips_itself_is_told_of_with_its_reason(beside: str, code: int, tmp_path: Path) -> None:
    (tmp_path / "test_skips.py").write_text("import pytest\npytest.importorskip('no_such_module')\n")
    report = ("--hil-report", str(tmp_path / "report"))
    done = pytest_on(tmp_path, beside, "--hil-target", "emulator", *report)
    assert done.returncode == code, done.stdout
    assert "1 skipped" in summary(tmp_path)
    assert "no_such_module" in summary(tmp_path)
    if code:
        assert "none was chosen (most often: could not import 'no_such_module'" in done.stdout


def test_tests_that_only_went_wrong_keep_the_code_that_says_so(tmp_path: Path) -> None:
    text = "import pytest\n@pytest.fixture\ndef broken(): raise ValueError\ndef test_x(broken, pump): pass\n"
    done = pytest_on(tmp_path, text, "--hil-target", "emulator")
    assert done.returncode == 1, done.stdout
    assert "no test was executed" not in done.stdout


@pytest.mark.parametrize("looking", ["--collect-only", "--fixtures", "--fixtures-per-test"])
def test_looking_at_tests_is_no_run_and_leaves_the_last_report(looking: str, tmp_path: Path) -> None:
    arguments = ("--hil-target", "emulator", "--hil-report", str(tmp_path / "report"))
    assert pytest_on(tmp_path, PASSES, *arguments).returncode == 0
    files = {path.name: path.read_bytes() for path in (tmp_path / "report").iterdir()}
    assert set(files) == {*NAMES, "recording.pcapng"}
    done = pytest_on(tmp_path, PASSES, looking, *arguments)
    assert done.returncode == 0, done.stdout
    assert {path.name: path.read_bytes() for path in (tmp_path / "report").iterdir()} == files


NESTS = """
    import os, signal
    import pytest

    def test_one(pump):
        with open("inner.py", "w") as file:
            file.write("def test_inner(pump): assert {passes}\\n")
        assert pytest.main(["-q", "inner.py", {inner}]) == {code}

    def test_two(): {ends}
    def test_three(): assert 0
"""


@pytest.mark.one_in(6)
@pytest.mark.parametrize(
    ("ends", "code"),
    [("os._exit(0)", 3), ("os.kill(os.getpid(), signal.SIGTERM)", 2)],
    ids=["os._exit", "SIGTERM"],
)
@pytest.mark.parametrize("passes", [True, False])
@pytest.mark.parametrize("inner", ["'--hil-target', 'emulator'", "'--hil-report', 'inner'", ""])
def test_a_run_within_a_test_leaves_what_watches_over_the_run_around_it(
    inner: str, passes: bool, ends: str, code: int, tmp_path: Path
) -> None:
    text = NESTS.format(passes=passes, inner=inner, code=int(not passes), ends=ends)
    report = ("--hil-report", str(tmp_path / "report"))
    done = pytest_on(tmp_path, text, "--hil-target", "emulator", *report)
    assert done.returncode == code, done.stdout + done.stderr
    assert "result    INCOMPLETE: 1 passed, 2 did not run on emulator" in summary(tmp_path)


def test_a_run_within_a_test_may_fail_as_expected(tmp_path: Path) -> None:
    text = NESTS.format(passes=False, inner="'--hil-target', 'emulator'", code=1, ends="pass")
    text = "import atexit, os\natexit.register(lambda: os._exit(0))\n" + textwrap.dedent(text)
    done = pytest_on(tmp_path, text, "--hil-target", "emulator", "--deselect", "test_it.py::test_three")
    assert done.returncode == 0, done.stdout + done.stderr


SUBTESTS = """
    import unittest
    import pytest
    from hil.noise import Direction

    def test_skips_the_rest(pump, subtests):
        with subtests.test("a"): pass
        pytest.skip("rest cannot")

    def test_xfails_the_rest(pump, subtests):
        with subtests.test("a"): pass
        pytest.xfail("rest is broken")

    def test_skips_all(pump, subtests):
        with subtests.test("a"): pytest.skip("a cannot")
        with subtests.test("b"): pytest.skip("b cannot")

    def test_skips_before_its_fault_fired(pump, pump_line, subtests):
        pump_line.drop(Direction.TO_PUMP, 1, skip=100)
        with subtests.test("a"): pass
        pytest.skip("rest cannot")

    class TestUnits(unittest.TestCase):
        def test_skips_the_rest(self):
            with self.subTest("a"): pass
            self.skipTest("rest cannot")

        def test_skips_all(self):
            with self.subTest("a"): self.skipTest("a cannot")
"""


@pytest.mark.parametrize("more", [(), ("-n", "2")], ids=["here", "distributed"])
def test_a_subtest_that_passes_does_not_make_its_test_pass(more: tuple[str, ...], tmp_path: Path) -> None:
    report = ("--hil-report", str(tmp_path / "report"))
    done = pytest_on(tmp_path, SUBTESTS, "--hil-target", "emulator", *report, *more)
    assert done.returncode == 5, done.stdout
    assert "result    NOTHING EXECUTED: 5 skipped, 1 xfailed on emulator" in summary(tmp_path)


@pytest.mark.parametrize("then", ["pass", "pytest.skip('rest cannot')", "pytest.xfail('rest is broken')"])
def test_a_subtest_that_fails_makes_its_test_fail(then: str, tmp_path: Path) -> None:
    text = f"import pytest\ndef test_x(pump, subtests):\n    with subtests.test('a'): assert 0\n    {then}\n"
    report = ("--hil-report", str(tmp_path / "report"))
    done = pytest_on(tmp_path, text, "--hil-target", "emulator", *report)
    assert done.returncode == 1, done.stdout
    assert "result    1 failed on emulator" in summary(tmp_path)


def test_a_test_that_passed_without_some_of_its_subtests_is_named_in_the_summary(tmp_path: Path) -> None:
    text = (
        "import pytest\ndef test_x(pump, subtests):\n    with subtests.test('a'): pass\n"
        "    with subtests.test('b'): pytest.skip('b cannot')\n"
    )
    report = ("--hil-report", str(tmp_path / "report"))
    done = pytest_on(tmp_path, text, "--hil-target", "emulator", *report)
    assert done.returncode == 0, done.stdout
    assert "passed in part\ntest_it.py::test_x: 1 of 2 subtests did not pass: b cannot" in summary(tmp_path)


def test_a_need_counts_also_in_a_test_that_takes_no_pump(tmp_path: Path) -> None:
    text = """
        import unittest
        import pytest
        from hil.plugin import needs

        @needs("snapshot")
        def test_alone(): pass

        class TestUnits(unittest.TestCase):
            @pytest.mark.needs("snapshot")
            def test_unit(self): pass
    """
    report = ("--hil-report", str(tmp_path / "report"))
    keep_no_snapshots(tmp_path)
    done = pytest_on(tmp_path, text, "--hil-target", "emulator:process", *report)
    assert done.returncode == 5, done.stdout
    assert "2 x emulator:process cannot: snapshot" in summary(tmp_path)


TAKES_AWAY = "def pytest_collection_modifyitems(items): items[:] = items[:1]\n"


@pytest.mark.parametrize("more", [(), ("-n", "2")], ids=["here", "distributed"])
def test_tests_that_a_hook_takes_away_without_a_word_are_counted(
    more: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "conftest.py").write_text(TAKES_AWAY)
    report = ("--hil-report", str(tmp_path / "report"))
    done = pytest_on(tmp_path, PASSES, "--hil-target", "emulator", *report, *more)
    assert done.returncode == 0, done.stdout
    assert "selected  1 of 2 tests that were found" in summary(tmp_path)
    assert "left out  1 of them by a hook that took them away without saying so" in summary(tmp_path)
    assert json.loads((tmp_path / "report" / "report.json").read_text())["run"]["left_out"] == 1


@pytest.mark.parametrize(
    "option",
    [("-o", "python_functions=test_one"), ("--ignore=nothing",), ("--ignore-glob=x*",)],
    ids=" ".join,
)
def test_an_option_by_which_tests_are_not_even_found_is_named(
    option: tuple[str, ...], tmp_path: Path
) -> None:
    report = ("--hil-report", str(tmp_path / "report"))
    done = pytest_on(tmp_path, PASSES, "--hil-target", "emulator", *report, *option)
    assert done.returncode == 0, done.stdout
    name = " ".join(option) if option[0] == "-o" else option[0].partition("=")[0]
    assert f"narrowed  {name}: tests that this leaves out are not counted" in summary(tmp_path)
    assert json.loads((tmp_path / "report" / "report.json").read_text())["run"]["narrowed"] == name
