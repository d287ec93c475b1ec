"""A run as one HTML page that opens offline: requirement, its tests, their verdicts and frames, and what was tested.

Everything that comes from tests and devices is escaped; the page has no script, and its policy lets it load nothing.
"""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from importlib import metadata
from typing import TYPE_CHECKING, Final

from hil.pages.html_page import LIMIT_BYTES, anchor_of, html_page, link, mark, places, table
from hil.pages.page_text import page_text
from hil.quantity_words import counted
from hil.report.measured import measured_html, measured_words
from hil.report.records import BAD, CONSOLE_TITLE, Verdict
from hil.report.requirements import SETTLED, Shown, parents_of
from hil.report.summary import DID_NOT_RUN, accused_counts, one_line, result_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hil.report.records import CaseRecord, RunRecord
    from hil.report.requirements import Row

_ROW_LIMIT: Final = 2_000
_LEFT_OUT: Final = (
    "",
    "frames",
    "frames and curves",
    "frames, measurements, long reasons, and tests that did not fail",
)
"""What a page is made without where it would grow too large, one after another."""
_PLACES: Final = places(
    {
        "requirements": "Requirements",
        "sources": "Sources",
        "failures": "Failures",
        "measurements": "Measurements",
        "tests": "Tests",
        "tested": "What was tested",
    }
)
_GAPS: Final = (Shown.NOT_RUN, Shown.NO_TEST, Shown.IN_PART)
_CLASS: Final = {Shown.FAILED: "bad"} | dict.fromkeys(SETTLED, "good")


def page_of(run: RunRecord, rows: list[Row], captures: Mapping[str, str]) -> str:
    """The page, under 2 MB; `captures` are names and SHA-256 of the recordings beside it.

    Where there is no room, first the frames stay out, then the curves, then the tests that passed; the page says so.
    """
    text = ""
    for without in _LEFT_OUT:
        text = _page(run, rows, captures, without)
        if len(text.encode("utf-8", "backslashreplace")) < LIMIT_BYTES:
            break
    return text


def _page(run: RunRecord, rows: list[Row], captures: Mapping[str, str], without: str) -> str:
    anchors = {id(test): f"t{number}" for number, test in enumerate(run.tests, 1)}
    brief = "long" in without
    failures = [test for test in run.tests if test.verdict in BAD]
    shown_failures = failures[:_ROW_LIMIT] if brief else failures
    left_out = (
        f'<p class="banner unsure">For want of room without {without}: see summary.txt</p>' if without else ""
    )
    targets = {id(test) for test in (shown_failures if brief else run.tests)}
    links = {key: anchor for key, anchor in anchors.items() if key in targets}
    body = [
        f"<h1>pumpbench: verification of {page_text(run.target)}</h1>",
        '<p class="small">Not a medical device; no evidence about any patient\'s pump.</p>',
        f'<p class="banner {_class_of(run)}">{page_text(result_words(run))}</p>',
        left_out,
        _failing(rows, run, len(failures)),
        _PLACES,
        _uncollected(run),
        _matrix(rows, links, None if brief else anchors),
        _sources(rows),
        '<h2 id="failures">Failures</h2>' + ("" if failures else "<p>No test failed.</p>"),
        *(_failure(test, anchors[id(test)], without) for test in shown_failures),
        _tries(run, without),
        _measurements(run, anchors, without),
        "" if brief else _tests(run, anchors),
        _tested(run, captures),
    ]
    return html_page(f"pumpbench: {one_line(run)}", body)


def _class_of(run: RunRecord) -> str:
    if run.went_wrong:
        return "bad"
    return "unsure" if run.is_incomplete or run.shows_nothing or not run.ended or run.exit_code else "good"


def _failing(rows: Iterable[Row], run: RunRecord, failures: int) -> str:
    """The requirements that failed, one click away; whose fault that is; how many are not settled otherwise."""
    rows = list(rows)
    failed = [row.requirement for row in rows if row.shown is Shown.FAILED]
    links = "".join(
        f"<li>{link(anchor_of(each.name), each.name)} {page_text(each.sentence)}"
        + (f" (from {link(anchor_of(each.source, 's-'), each.source)})" if each.source else "")
        + "</li>"
        for each in failed
    )
    said = [f"<p><strong>Failing requirements: {len(failed)}</strong></p><ul>{links}</ul>"] if failed else []
    if failures:
        accused = ", ".join(f"{count} {whose}" for whose, count in accused_counts(run).items())
        said.append(f'<p><a href="#failures">{counted(failures, "failed test")}</a>, accused: {accused}</p>')
    counts = [f"{sum(row.shown is shown for row in rows)} {shown.value}" for shown in Shown]
    said.append(f"<p>{len(rows)} requirements: {', '.join(c for c in counts if not c.startswith('0 '))}</p>")
    said += [_gaps(shown, [row for row in rows if row.shown is shown]) for shown in _GAPS]
    return "".join(said)


def _gaps(shown: Shown, rows: list[Row]) -> str:
    """The requirements of which nothing, or not all, was shown; folded, since a run of a few tests has many."""
    if not rows:
        return ""
    links = ", ".join(link(anchor_of(row.requirement.name), row.requirement.name) for row in rows)
    return f"<details><summary>Gaps: {len(rows)} {shown.value}</summary><p>{links}</p></details>"


def _uncollected(run: RunRecord) -> str:
    items = "".join(
        f"<li><strong>{page_text(place.name)}</strong><pre>{page_text(place.reason)}</pre></li>"
        for place in run.uncollected
    )
    return f"<h2>Could not be collected: tests that nobody knows</h2><ul>{items}</ul>" if items else ""


def _matrix(rows: Iterable[Row], anchors: Mapping[int, str], measured: Mapping[int, str] | None) -> str:
    """A row for each requirement. `measured`: anchors of the tests whose measurements stand on the page, if any do."""
    lines = []
    for row in rows:
        name, sentence, source, _, evidence = row.requirement
        tests = [
            f"{link(anchors.get(id(test)), _short(test.name))} {test.verdict.value}{_measured(test, measured)}"
            for test in sorted(row.tests, key=lambda each: each.verdict not in BAD)
        ]
        tests += [f"{page_text(_short(each))} {DID_NOT_RUN}" for each in row.missing]
        what = "<br>".join(tests) or page_text(evidence) or "no test of this run"
        lines.append(
            f'<tr id="{anchor_of(name)}"><td class="id">{page_text(name)}</td>'
            f"{mark(row.shown.value, _CLASS.get(row.shown, 'unsure'))}"
            f"<td>{page_text(sentence)}</td><td>{link(anchor_of(source, 's-') if source else None, source)}</td>"
            f"<td>{what}</td></tr>"
        )
    head = ("Requirement", "Shown", "Sentence", "Source", "Tests, or where it is argued")
    return '<h2 id="requirements">Requirements</h2>' + table(head, lines, "matrix")


def _sources(rows: Iterable[Row]) -> str:
    lines = []
    for source, (shown, children) in parents_of(rows).items():
        links = ", ".join(link(anchor_of(row.requirement.name), row.requirement.name) for row in children)
        lines.append(
            f'<tr id="{anchor_of(source, "s-")}"><td>{page_text(source)}</td>'
            f"{mark(shown.value, _CLASS.get(shown, 'unsure'))}<td>{links}</td></tr>"
        )
    head = ("Source", "The worst of them", "Requirements that come from it")
    return '<h2 id="sources">Sources: where requirements come from</h2>' + table(head, lines)


def _failure(test: CaseRecord, anchor: str, without: str) -> str:
    claims = ", ".join(link(anchor_of(name), name) for name in test.requirements) or "no requirement"
    frames = ""
    if test.frames:
        shown = f"<pre>{page_text(test.frames)}</pre>"
        frames = (
            f"<h4>Last frames on the wire</h4>{shown}" if not without else "<p>Frames: see summary.txt</p>"
        )
    console = ""
    if test.console and "long" not in without:
        console = f"<h4>{CONSOLE_TITLE.capitalize()}</h4><pre>{page_text(test.console)}</pre>"
    reason = test.reason[:200] if "long" in without else test.reason
    measured = "" if "long" in without else measured_html(test.measurements, curves="curves" not in without)
    return (
        f'<section class="test" id="{anchor}"><h3>{page_text(test.verdict.value)}: {page_text(test.name)}</h3>'
        f"<p>Accused: <strong>{page_text(test.accused or 'nobody')}</strong>: "
        f"{page_text(test.evidence or 'no evidence')}. Verifies: {claims}. "
        f"{test.duration_s:.3f} s</p><pre>{page_text(reason or 'no reason was given')}</pre>"
        f"{measured}{frames}{console}</section>"
    )


def _tries(run: RunRecord, without: str) -> str:
    """The failed tries of tests that were run again: what they say is no verdict, and stays evidence."""
    parts = []
    for name, attempts in run.attempts.items():
        for number, each in enumerate(attempts, 1):
            head = f"{_short(name)}, try {number}: {each.accused}: {each.evidence}"
            frames = f"<pre>{page_text(each.frames)}</pre>" if each.frames and not without else ""
            reason = each.reason[:200] if "long" in without else each.reason
            parts.append(
                f"<details open><summary>{page_text(head)}</summary><pre>{page_text(reason)}</pre>{frames}</details>"
            )
    return f"<h2>Tries that failed, of tests that were run again</h2>{''.join(parts)}" if parts else ""


def _measured(test: CaseRecord, anchors: Mapping[int, str] | None) -> str:
    """What a test measured in a few words, which lead to its measurements where those stand on the page."""
    words = measured_words(test.measurements)
    if not words:
        return ""
    anchor = None if anchors is None else anchors[id(test)] + ("" if test.verdict in BAD else "-m")
    return f", {link(anchor, words)}"


def _measurements(run: RunRecord, anchors: Mapping[int, str], without: str) -> str:
    """Values and curves of tests that did not fail; those of a failure stand with it."""
    head = '<h2 id="measurements">Measurements</h2>'
    measured = [test for test in run.tests if test.measurements]
    if not measured:
        return f"{head}<p>No test measured anything.</p>"
    if "long" in without:
        return f"{head}<p>For want of room in report.json alone.</p>"
    parts = []
    for test in measured:
        if test.verdict in BAD:
            parts.append(
                f"<p>{link(anchors[id(test)], _short(test.name))} failed: its measurements stand there</p>"
            )
            continue
        claims = ", ".join(link(anchor_of(name), name) for name in test.requirements) or "no requirement"
        anchor = anchors[id(test)]
        parts.append(
            f'<section class="measured" id="{anchor}-m"><h3>{link(anchor, _short(test.name))}</h3>'
            f"<p>{page_text(test.verdict.value)}, {measured_words(test.measurements)}. Verifies: {claims}</p>"
            f"{measured_html(test.measurements, curves='curves' not in without)}</section>"
        )
    return head + "".join(parts)


def _tests(run: RunRecord, anchors: Mapping[int, str]) -> str:
    lines = []
    for test in run.tests:
        failed = test.verdict in BAD
        kind = "bad" if failed else "good" if test.verdict is Verdict.PASSED and not test.reason else "unsure"
        anchor = anchors[id(test)]
        place = "" if failed else f' id="{anchor}"'
        name = link(anchor if failed else None, test.name)
        lines.append(
            f"<tr{place}><td>{name}</td>{mark(test.verdict.value, kind)}<td>{test.duration_s:.3f} s</td>"
            f"<td>{'' if failed else page_text(test.reason)}</td></tr>"
        )
    lines += [
        f"<tr><td>{page_text(name)}</td>{mark(DID_NOT_RUN, 'unsure')}<td></td><td>{page_text(run.stopped)}</td></tr>"
        for name in run.did_not_run()
    ]
    return '<h2 id="tests">Tests</h2>' + table(("Test", "Outcome", "Time", "Why"), lines, "matrix")


def _tested(run: RunRecord, captures: Mapping[str, str]) -> str:
    facts = {
        "target": run.target,
        "device": run.identity,
        "board": run.board or "none: a pump that was made, or a bare line",
        **_firmware(run),
        "began": datetime.fromtimestamp(run.began_at_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        "exit code": "none yet" if run.exit_code is None else str(run.exit_code),
        "tests": f"{len(run.chosen)} chosen, {run.deselected} deselected, {run.left_out} left out by a hook",
        "narrowed by": run.narrowed or "nothing",
        "tries that do not count": str(run.reruns.total()),
        "losses of the line that healed": "; ".join(f"{name}: {gap.words}" for name, gap in run.gaps)
        or "none",
        "stopped early": run.stopped or "no",
        "seed": "none: no pump was made" if run.seed is None else str(run.seed),
        "profile": run.profile or "none: no pump was made",
        "pumpbench": metadata.version("pumpbench"),
        "pytest": metadata.version("pytest"),
        "Python": f"{platform.python_version()} on {platform.platform()}",
    }
    facts |= {f"SHA-256 of {name}": digest for name, digest in captures.items()}
    if not captures:
        facts["recordings"] = "none"
    lines = (
        f"<tr><th>{page_text(name)}</th><td>{page_text(value)}</td></tr>" for name, value in facts.items()
    )
    return f'<h2 id="tested">What was tested</h2><div class="wide"><table>{"".join(lines)}</table></div>'


def _firmware(run: RunRecord) -> dict[str, str]:
    """Rows of the firmware file; none where nobody has named it."""
    if run.firmware is None:
        return {}
    flashed = (
        "flashed by this run" if run.firmware.flashed else "not flashed by this run: nobody has compared it"
    )
    return {
        "firmware file": f"{run.firmware.file} ({flashed})",
        "SHA-256 of the firmware file": run.firmware.sha256,
    }


def _short(name: str) -> str:
    """A test without the directories of its file; its parameters may have slashes."""
    path, bracket, parameters = name.partition("[")
    return path.rpartition("/")[2] + bracket + parameters
