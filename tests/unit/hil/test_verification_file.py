"""The report as evidence: each requirement has a row, nothing said in it does anything, and no change goes unseen."""

from __future__ import annotations

import csv
import io
import json
import os
import select
import shutil
import socket
import subprocess
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from click.testing import CliRunner

from hil.cli.json_schema import json_schema
from hil.cli.main import cli
from hil.errors import BadConfiguration, NotTheSame
from hil.measurement import as_plain, measured
from hil.pages.html_page import LIMIT_BYTES
from hil.report import documents
from hil.report.directory import ReportDirectory
from hil.report.documents import FILE_DOCUMENTS
from hil.report.manifest import sha256_of
from hil.report.matrix import csv_of
from hil.report.page import page_of
from hil.report.records import MANIFEST_NAME, NAMES, CaseRecord, RunRecord, Verdict
from hil.report.requirements import (
    OUR_REQUIREMENTS,
    Requirement,
    Shown,
    parents_of,
    read_requirements,
    rows_of,
)
from hil.report.summary import lacking_in_words
from hil.targets.supervisor import Gap
from tests.support.not_run import needs_program
from tests.support.patience import PATIENCE_S
from tests.unit.hil.test_json_schema import closed

if TYPE_CHECKING:
    from collections.abc import Callable

HOSTILE = "<script>alert(1)</script>\x00\u202e\"'&<img src=http://127.0.0.1:{port}/seen onerror=x()>"
REQUIREMENTS = {
    each.name: each
    for each in (
        Requirement("A-1", "fails", "SPEC 1"),
        Requirement("A-2", "passes", "SPEC 1"),
        Requirement("A-3", "is skipped", "SPEC 2"),
        Requirement("A-4", "nobody tests this", "SPEC 2"),
        Requirement("A-5", "passes, but for a skip", "SPEC 3"),
        Requirement("A-6", "argued", "SPEC 4", "review", "page.md#Heading"),
        Requirement("A-7", "computed", "SPEC 4", "analysis", "page.md#Other"),
        Requirement("A-8", "did not run", "SPEC 5"),
        Requirement("A-9", "passes, and was to run once more", "SPEC 5"),
        Requirement("B-1", "none of its tests was chosen", "SPEC 6"),
        Requirement("B-2", "passes, and a test of it was not chosen", "SPEC 7"),
    )
}


def a_run(port: int = 1) -> RunRecord:
    hostile = HOSTILE.format(port=port)
    run = RunRecord(f"emulator {hostile}", f"pump {hostile}", exit_code=1, ended=True)
    for verdict, requirements in (
        (Verdict.FAILED, ("A-1",)),
        (Verdict.PASSED, ("A-1", "A-2", "A-5", "A-9", "B-2")),
        (Verdict.SKIPPED, ("A-3", "A-5")),
    ):
        name = f"tests/test_it.py::test_{verdict}[a/{hostile}]"
        frames = f"--> GET_STATUS {hostile}" if verdict is Verdict.FAILED else ""
        reason = "" if verdict is Verdict.PASSED else f"why {hostile}"
        drift = as_plain(measured(f"drift {hostile}", [(0, 1), (1, 2)], "mV", (0, 1), against="time_s"))
        measurements = (drift,) if verdict is Verdict.FAILED else ()
        run.tests.append(
            CaseRecord(name, verdict, 0.5, requirements, reason, frames, "device", measurements=measurements)
        )
    tried = CaseRecord("t", Verdict.FAILED, 0.1, (), f"try {hostile}", f"<-- PONG {hostile}", "link", hostile)
    run.attempts = {run.tests[1].name: [tried]}
    run.gaps = [(f"t {hostile}", Gap(1_234, expected=False))]
    run.claims = {"test_late": ("A-8", "A-9")}
    run.claims_not_chosen = {"test_left_out": ("B-1", "B-2")}
    run.chosen = [*(test.name for test in run.tests), "test_late"]
    return run


def page(run: RunRecord) -> str:
    return page_of(run, rows_of(run, REQUIREMENTS), {"recording.pcapng": "ab" * 32})


class Read(HTMLParser):
    """Tags with their attributes, and ids and links of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.ids += [str(value) for name, value in attrs if name == "id"]
        self.links += [str(value) for name, value in attrs if name == "href"]


def test_tries_that_failed_and_losses_of_the_line_stand_on_the_page() -> None:
    text = page(a_run())
    tries = text[text.index("Tries that failed") : text.index('id="measurements"')]
    assert "test_passed[a/&lt;script" in tries
    assert "try 1: link" in tries
    assert "&lt;-- PONG" in tries
    assert "unexpected, 1234 ms" in text[text.index('id="tested"') :]


def test_each_requirement_has_a_row_that_says_what_was_shown_of_it_also_where_nothing_was() -> None:
    shown = {row.requirement.name: row.shown for row in rows_of(a_run(), REQUIREMENTS)}
    assert shown == {
        "A-1": Shown.FAILED,
        "A-2": Shown.PASSED,
        "A-3": Shown.NOT_RUN,
        "A-4": Shown.NO_TEST,
        "A-5": Shown.IN_PART,
        "A-6": Shown.REVIEW,
        "A-7": Shown.ANALYSIS,
        "A-8": Shown.NOT_RUN,
        "A-9": Shown.IN_PART,
        "B-1": Shown.NOT_CHOSEN,
        "B-2": Shown.IN_PART,
    }


def test_what_a_target_lacked_is_summed_by_what_it_is_where_there_are_many_combinations() -> None:
    run = RunRecord("pty:x")
    for lacking in ("reset, time", "reset, time", "reset", "power, reset, time"):
        run.tests.append(CaseRecord("t", Verdict.SKIPPED, 0.0, reason=f"pty:x cannot: {lacking}"))
    assert lacking_in_words(run) == [
        "what was lacking, each in so many of them: reset in 4 (alone in 1), time in 3, power in 1"
    ]
    del run.tests[-1]
    assert lacking_in_words(run) == []


def test_a_failure_marks_what_the_requirement_comes_from() -> None:
    parents = parents_of(rows_of(a_run(), REQUIREMENTS))
    worst = {source: shown for source, (shown, _) in parents.items()}
    assert worst == {
        "SPEC 1": Shown.FAILED,
        "SPEC 2": Shown.NOT_RUN,
        "SPEC 3": Shown.IN_PART,
        "SPEC 4": Shown.REVIEW,
        "SPEC 5": Shown.NOT_RUN,
        "SPEC 6": Shown.NOT_CHOSEN,
        "SPEC 7": Shown.IN_PART,
    }


def test_the_requirements_of_ours_can_all_be_read_and_say_how_they_are_verified() -> None:
    ours = read_requirements([])
    assert OUR_REQUIREMENTS.name == "requirements.toml"
    assert {each.verified_by for each in ours.values()} <= {"test", "review", "analysis"}
    assert all(each.sentence and each.source for each in ours.values())


def test_what_tests_and_devices_say_is_text_on_the_page_and_nothing_else() -> None:
    read = Read(page(a_run()))
    assert not read.tags & {"script", "img", "link", "iframe", "object", "form"}
    assert not {name for name in read.attributes if name.startswith("on") or name == "src"}
    assert all(link.startswith("#") for link in read.links)
    text = page(a_run())
    assert "\x00" not in text
    assert "\u202e" not in text
    assert "default-src 'none'" in text


def test_the_failing_requirement_is_one_click_away_and_its_test_another() -> None:
    text = page(a_run())
    read = Read(text)
    assert len(read.ids) == len(set(read.ids))
    assert {link.removeprefix("#") for link in read.links} <= set(read.ids)
    top = Read(text[: text.index('id="requirements"')])
    assert top.links[0] == "#r-A-1"
    row = Read(text[text.index('id="r-A-1"') : text.index('id="r-A-2"')])
    to_tests = [link for link in row.links if link.startswith("#t")]
    assert f'<section class="test" id="{to_tests[0].removeprefix("#")}"' in text
    assert "GET_STATUS" in text
    assert "ab" * 32 in text


@pytest.mark.parametrize(("count", "told"), [(150, "without frames:"), (20_000, "tests that did not fail")])
def test_a_page_stays_under_2_mb_and_says_what_it_leaves_out(count: int, told: str) -> None:
    run = a_run()
    run.tests += [CaseRecord(f"t::{n}", Verdict.PASSED, 0.0) for n in range(count)]
    run.tests += [CaseRecord("t::x", Verdict.FAILED, 0.0, frames="f" * 19_000) for _ in range(150)]
    text = page(run)
    assert len(text.encode()) < LIMIT_BYTES
    assert told in text
    assert "A-4" in text


def test_the_matrix_has_gaps_as_lines_and_no_formula() -> None:
    run = a_run()
    run.tests[0] = CaseRecord("=HYPERLINK(1)\n", Verdict.FAILED, 0.0, ("A-1",))
    text = csv_of(rows_of(run, REQUIREMENTS))
    lines = list(csv.DictReader(io.StringIO(text)))
    assert {line["requirement"] for line in lines} == set(REQUIREMENTS)
    assert [line["shown"] for line in lines if line["requirement"] == "A-4"] == ["no test"]
    assert lines[0]["test"] == "'=HYPERLINK(1)\\n"


# The manifest.


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """A whole report, with a file of somebody else beside it."""
    place = tmp_path / "report"
    directory = ReportDirectory(place)
    run = a_run()
    directory.begin(run)
    (place / "recording.pcapng").write_bytes(bytes(1000))
    (place / "notes.txt").write_text("of somebody")
    directory.write(run)
    directory.junit_path.write_text("<testsuites/>")
    directory.write_evidence(run, REQUIREMENTS)
    directory.seal()
    directory.close()
    return place


def verify(place: Path, *options: str) -> tuple[str, BaseException | None]:
    result = CliRunner().invoke(cli, ["report", "verify", str(place), *options])
    return result.stdout, result.exception


def test_a_report_as_it_was_written_is_whole(report: Path) -> None:
    (report / "notes.txt").write_text("changed: no part of the report")
    said, error = verify(report)
    assert error is None
    assert "is whole: 6 files" in said
    assert "\nthe run: 1 passed, 1 failed, 1 skipped, 1 did not run on emulator" in said


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _link(path: Path) -> None:
    path.rename(path.parent.parent / "elsewhere")
    path.symlink_to(path.parent.parent / "elsewhere")


CHANGES: dict[str, tuple[str, str, Callable[[Path], object]]] = {
    **{f"one bit of {name}": (name, "changed", _flip) for name in (*NAMES[:-1], "recording.pcapng")},
    "a lost recording": ("recording.pcapng", "missing", os.unlink),
    "a lost matrix": ("matrix.csv", "missing", os.unlink),
    "a recording too many": ("recording-gw7.pcapng", "added", Path.touch),
    "a directory too many": ("more", "added", Path.mkdir),
    "a link in a file's place": ("report.json", "changed", _link),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_was_changed_lost_or_added_is_named(change: str, report: Path) -> None:
    name, how, do = CHANGES[change]
    do(report / name)
    said, error = verify(report)
    assert isinstance(error, NotTheSame)
    assert said == f"{name} was {how}\n"


_OURS = '{"schema": {"name": "pumpbench-manifest", "version": 1}, '
MANIFESTS = {
    "none": None,
    "half of one": '{"schema": {"name": "pumpbench-mani',
    "nothing in it": _OURS + '"files": {}, "beside": []}',
    "another version": _OURS.replace("1", "2") + '"files": {"a": "b"}, "beside": []}',
    "names that lead away": _OURS + '"files": {"../a": "b"}, "beside": []}',
    "no object": "[]",
}


@pytest.mark.parametrize("manifest", MANIFESTS)
def test_a_report_without_a_manifest_of_ours_is_not_called_whole(manifest: str, report: Path) -> None:
    (report / MANIFEST_NAME).unlink()
    if (text := MANIFESTS[manifest]) is not None:
        (report / MANIFEST_NAME).write_text(text)
    said, error = verify(report)
    assert isinstance(error, BadConfiguration)
    assert said == ""


def _begin_and_leave(place: Path) -> None:
    directory = ReportDirectory(place)
    directory.begin(RunRecord("emulator"))
    directory.close()


def _lose_the_manifest(place: Path) -> None:
    (place / MANIFEST_NAME).unlink()


def _be_no_report(place: Path) -> None:
    _lose_the_manifest(place)
    (place / "summary.txt").write_text("of somebody")


WITHOUT: dict[str, tuple[Callable[[Path], object], str]] = {
    "a run that was killed": (_begin_and_leave, "its run was killed before it could write its report"),
    "a run without room for all of it": (_lose_the_manifest, "has ended (INCOMPLETE: 1 passed, 1 failed"),
    "no report": (_be_no_report, "is no report of a run"),
    "no directory": (lambda place: place.rename(place.parent / "else"), "is no directory that can be read"),
}


@pytest.mark.parametrize("case", WITHOUT)
def test_a_directory_without_a_manifest_says_what_it_is_in_words_and_as_json(case: str, report: Path) -> None:
    do, said = WITHOUT[case]
    do(report)
    for options in ((), ("--json",)):
        text, error = verify(report, *options)
        assert isinstance(error, BadConfiguration)
        assert said in error.one_line()
        assert not text or said in json.loads(text)["error"]["message"]


def test_a_run_that_goes_on_is_not_called_killed(report: Path) -> None:
    directory = ReportDirectory(report)
    directory.begin(RunRecord("emulator"))
    assert "its run still goes on" in str(verify(report)[1])
    directory.close()


# For programs.


def test_a_report_and_its_manifest_are_valid_by_the_schemas_that_are_installed(report: Path) -> None:
    for name, schema, _ in FILE_DOCUMENTS:
        document = json.loads((report / name.replace(".schema", "")).read_bytes())
        described = json.loads((Path(documents.__file__).parent / name).read_bytes())
        jsonschema.validate(document, closed(described), jsonschema.Draft202012Validator)
        assert document["schema"] == schema
        for key in document:
            with pytest.raises(jsonschema.ValidationError):
                jsonschema.validate({**document, key: 5j}, described, jsonschema.Draft202012Validator)


def test_what_verify_finds_is_a_document_that_is_valid_by_its_schema(report: Path) -> None:
    def found(*options: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(verify(report, "--json", *options)[0])
        jsonschema.validate(document, json_schema("report-verify"), jsonschema.Draft202012Validator)
        return document

    whole = found()
    assert (whole["state"], whole["run"]["complete"], "error" in whole) == ("whole", False, False)
    assert whole["manifest_sha256"] == sha256_of(str(report / MANIFEST_NAME))
    strict = found("--strict")
    assert (strict["error"]["exit_code"], len(strict["not_shown"])) == (15, 9)
    (report / "matrix.csv").unlink()
    (report / "recording.pcapng").write_bytes(b"")
    changed = found("--strict")
    assert (changed["state"], changed["run"], changed["error"]["exit_code"]) == ("changed", None, 15)
    assert (changed["changed"], changed["missing"]) == (["recording.pcapng"], ["matrix.csv"])


def test_a_report_that_is_begun_anew_has_neither_page_nor_manifest_of_the_older_run(report: Path) -> None:
    directory = ReportDirectory(report)
    directory.begin(RunRecord("emulator"))
    directory.close()
    assert {path.name for path in report.iterdir()} == {"summary.txt", "notes.txt"}
    assert isinstance(verify(report)[1], BadConfiguration)


def test_strict_counts_and_names_each_requirement_that_is_not_shown_to_be_met(report: Path) -> None:
    said, error = verify(report, "--strict")
    assert isinstance(error, NotTheSame)
    head, *rows, of_run = said.splitlines()
    counted, _, kinds = head.removeprefix("not shown to be met: ").partition(": ")
    assert counted == "8 of 11 requirements"
    listed = Counter(line.split(": ")[1] for line in rows)
    assert sorted(kinds.split(", ")) == sorted(f"{count} {kind}" for kind, count in listed.items())
    assert "1 failed" in kinds
    assert [line.split(":")[0] for line in rows] == ["A-1", "A-3", "A-4", "A-5", "A-8", "A-9", "B-1", "B-2"]
    assert "is whole, but 8 requirements are not shown to be met and its run is not complete" in str(error)
    assert of_run.startswith("the run is not complete: 1 passed, 1 failed, 1 skipped, 1 did not run")


def test_the_json_report_has_the_requirements_with_the_tests_of_each(report: Path) -> None:
    rows = json.loads((report / "report.json").read_text())["requirements"]
    of_one = next(row for row in rows if row["id"] == "A-8")
    assert (of_one["shown"], of_one["tests"]) == ("not run", ["test_late"])


# In a browser.


@needs_program("chromium", package="chromium")
def test_the_page_opens_in_a_browser_shows_matrix_and_frames_and_asks_for_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        file = tmp_path / "report.html"
        file.write_text(page(a_run(server.getsockname()[1])))
        chromium = shutil.which("chromium")
        assert chromium is not None
        options = ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile")
        done = subprocess.run(
            [chromium, *options, "--dump-dom", file.as_uri()],
            capture_output=True,
            text=True,
            env={"HOME": str(tmp_path), "PATH": os.environ["PATH"]},
            timeout=PATIENCE_S,
            check=False,
        )
        asked, _, _ = select.select([server], [], [], 0)
    assert "GET_STATUS" in done.stdout, done.stderr
    assert 'id="r-A-4"' in done.stdout
    assert "<svg" in done.stdout
    assert "<script" not in done.stdout
    assert not asked
