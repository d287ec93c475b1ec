"""A run as one HTML page that opens offline: requirement, its tests, their verdicts and frames, and what was tested.

Everything that comes from tests and devices is escaped; the page has no script, and its policy lets it load nothing.
"""

from __future__ import annotations

import platform
import re
from datetime import UTC, datetime
from importlib import metadata
from typing import TYPE_CHECKING, Final

from hil.quantity_words import counted
from hil.report.measured import measured_html, measured_words
from hil.report.page_text import page_text
from hil.report.records import BAD, CONSOLE_TITLE, Verdict
from hil.report.requirements import SETTLED, Shown, parents_of
from hil.report.summary import DID_NOT_RUN, accused_counts, one_line, result_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hil.report.records import CaseRecord, RunRecord
    from hil.report.requirements import Row

LIMIT_BYTES: Final = 2_000_000
_ROW_LIMIT: Final = 2_000
_LEFT_OUT: Final = (
    "",
    "frames",
    "frames and curves",
    "frames, measurements, long reasons, and tests that did not fail",
)
"""What a page is made without where it would grow too large, one after another."""
_STYLE: Final = """
:root{color-scheme:light}*{box-sizing:border-box}
body{font:15px/1.45 system-ui,sans-serif;margin:0 auto;max-width:72rem;padding:1rem;color:#1b1f24;background:#fff}
h1{font-size:1.4rem;margin:.2rem 0}h2{font-size:1.15rem;margin:2rem 0 .5rem;border-bottom:2px solid #d0d7de}
.banner{padding:.7rem 1rem;border-left:.5rem solid;margin:1rem 0;font-weight:600;overflow-wrap:anywhere}
.good{background:#e6f4ea;border-color:#1a7f37}.bad{background:#fdeaea;border-color:#b42318}
.unsure{background:#fff4d6;border-color:#9a6700}details{margin:.6rem 0}nav{display:flex;flex-wrap:wrap;gap:.2rem 1rem}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.3rem .5rem;border-bottom:1px solid #d0d7de}
th{background:#f6f8fa}td{overflow-wrap:anywhere}td.id,td.mark{white-space:nowrap;overflow-wrap:normal}
.mark b{padding:.05rem .45rem;border-radius:.6rem;font-size:.85em}.mark .good,.mark .bad,.mark .unsure{border:0}
.mark .good{color:#116329}.mark .bad{color:#8f1d14}.mark .unsure{color:#6f4a00}
pre{background:#f6f8fa;padding:.6rem;overflow-x:auto;white-space:pre-wrap;overflow-wrap:anywhere;font-size:.85em}
section.test{border:1px solid #d0d7de;border-left:.4rem solid #b42318;padding:.2rem 1rem;margin:.8rem 0}
section.test h3{font-size:1rem;overflow-wrap:anywhere}:target{outline:3px solid #0969da}
.small{color:#57606a;font-size:.9em}.plain{color:#57606a;font-weight:400}
section.measured{border:1px solid #d0d7de;padding:.2rem 1rem;margin:.8rem 0}
section.measured h3{font-size:1rem;overflow-wrap:anywhere}
figure.curve{margin:1rem 0;max-width:44rem;overflow-x:auto}
figure.curve>svg{display:block;width:100%;min-width:30rem;height:auto}
.curve text{font:12px system-ui,sans-serif;fill:#1b1f24}.curve .grid{stroke:#d0d7de;fill:none}
.curve .axis{stroke:#1b1f24;fill:none}figcaption{color:#57606a;font-size:.9em;overflow-wrap:anywhere}
.keys{list-style:none;display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;margin:.3rem 0;padding:0;font-size:.9em}
@media(max-width:40rem){.matrix thead,.measured thead{display:none}
.matrix td,.measured td{display:block;border:0;padding:.1rem .4rem}
.matrix tr,.measured tr{display:block;border-bottom:1px solid #d0d7de;padding:.4rem 0}
.matrix td:empty,.measured td:empty{display:none}
.measured td::before{content:attr(data-label) ": ";color:#57606a;font-weight:400}}
@media print{@page{margin:14mm}nav{display:none}figure.curve>svg{min-width:0}
section.test,figure,h2,h3{break-inside:avoid}h2,h3,.measured p{break-after:avoid}
body{max-width:none;padding:0;font-size:9pt;line-height:1.3}
th,td{padding:.15rem .35rem}td{orphans:3;widows:3}a{color:inherit;text-decoration:none}
.requirements td:nth-child(3){width:29%}.requirements td:nth-child(4){overflow-wrap:normal}
.requirements td:nth-child(5){width:45%}
.banner,th,.mark b,pre{print-color-adjust:exact}}
"""
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_PLACES: Final = (
    "<nav>"
    + "".join(
        f'<a href="#{anchor}">{words}</a>'
        for anchor, words in (
            ("requirements", "Requirements"),
            ("sources", "Sources"),
            ("failures", "Failures"),
            ("measurements", "Measurements"),
            ("tests", "Tests"),
            ("tested", "What was tested"),
        )
    )
    + "</nav>"
)
_GAPS: Final = (Shown.NOT_RUN, Shown.NOT_CHOSEN, Shown.NO_TEST, Shown.IN_PART)
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
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="referrer" content="no-referrer">'
        f"<title>pumpbench: {page_text(one_line(run))}</title><style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(part for part in body if part)
        + "\n</body></html>\n"
    )


def _class_of(run: RunRecord) -> str:
    if run.went_wrong:
        return "bad"
    return "unsure" if run.is_incomplete or run.shows_nothing or not run.ended or run.exit_code else "good"


def _anchor(name: str, kind: str = "r-") -> str:
    """An id for a requirement, or for a source (`s-`), of letters that need no escaping."""
    return kind + re.sub(r"[^A-Za-z0-9-]", lambda found: f"_{ord(found[0]):x}_", name)


def _link(anchor: str | None, words: str) -> str:
    """Words that may lead somewhere on the page, and that a narrow window may break behind an underscore."""
    shown = page_text(words).replace("_", "_<wbr>")
    return shown if anchor is None else f'<a href="#{anchor}">{shown}</a>'


def _mark(words: str, kind: str) -> str:
    return f'<td class="mark"><b class="{kind}">{page_text(words)}</b></td>'


def _failing(rows: Iterable[Row], run: RunRecord, failures: int) -> str:
    """The requirements that failed, one click away; whose fault that is; how many are not settled otherwise."""
    rows = list(rows)
    failed = [row.requirement for row in rows if row.shown is Shown.FAILED]
    links = "".join(
        f"<li>{_link(_anchor(each.name), each.name)} {page_text(each.sentence)}"
        + (f" (from {_link(_anchor(each.source, 's-'), each.source)})" if each.source else "")
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
    links = ", ".join(_link(_anchor(row.requirement.name), row.requirement.name) for row in rows)
    return f"<details><summary>Gaps: {len(rows)} {shown.value}</summary><p>{links}</p></details>"


def _uncollected(run: RunRecord) -> str:
    items = "".join(
        f"<li><strong>{page_text(place.name)}</strong><pre>{page_text(place.reason)}</pre></li>"
        for place in run.uncollected
    )
    return f"<h2>Could not be collected: tests that nobody knows</h2><ul>{items}</ul>" if items else ""


def _table(head: tuple[str, ...], rows: Iterable[str], kind: str = "") -> str:
    cells = "".join(f"<th>{each}</th>" for each in head)
    body = "\n".join(rows)
    table = f'<table class="{kind}"><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>'
    return f'<div class="wide">{table}</div>'


def _matrix(rows: Iterable[Row], anchors: Mapping[int, str], measured: Mapping[int, str] | None) -> str:
    """A row for each requirement. `measured`: anchors of the tests whose measurements stand on the page, if any do."""
    lines = []
    for row in rows:
        name, sentence, source, _, evidence = row.requirement
        tests = [
            f"{_link(anchors.get(id(test)), _short(test.name))} {test.verdict.value}{_measured(test, measured)}"
            for test in sorted(row.tests, key=lambda each: each.verdict not in BAD)
        ]
        tests += [f"{page_text(_short(each))} {DID_NOT_RUN}" for each in row.missing]
        if row.not_chosen:
            tests.append(f"{counted(len(row.not_chosen), 'test')} not chosen for this run")
        what = "<br>".join(tests) or page_text(evidence) or "no test of this run claims it"
        lines.append(
            f'<tr id="{_anchor(name)}"><td class="id">{page_text(name)}</td>'
            f"{_mark(row.shown.value, _CLASS.get(row.shown, 'unsure'))}"
            f"<td>{page_text(sentence)}</td><td>{_link(_anchor(source, 's-') if source else None, source)}</td>"
            f"<td>{what}</td></tr>"
        )
    head = ("Requirement", "Shown", "Sentence", "Source", "Tests, or where it is argued")
    return '<h2 id="requirements">Requirements</h2>' + _table(head, lines, "matrix requirements")


def _sources(rows: Iterable[Row]) -> str:
    lines = []
    for source, (shown, children) in parents_of(rows).items():
        links = ", ".join(_link(_anchor(row.requirement.name), row.requirement.name) for row in children)
        lines.append(
            f'<tr id="{_anchor(source, "s-")}"><td>{page_text(source)}</td>'
            f"{_mark(shown.value, _CLASS.get(shown, 'unsure'))}<td>{links}</td></tr>"
        )
    head = ("Source", "The worst of them", "Requirements that come from it")
    return '<h2 id="sources">Sources: where requirements come from</h2>' + _table(head, lines)


def _failure(test: CaseRecord, anchor: str, without: str) -> str:
    claims = ", ".join(_link(_anchor(name), name) for name in test.requirements) or "no requirement"
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
    return f", {_link(anchor, words)}"


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
                f"<p>{_link(anchors[id(test)], _short(test.name))} failed: its measurements stand there</p>"
            )
            continue
        claims = ", ".join(_link(_anchor(name), name) for name in test.requirements) or "no requirement"
        anchor = anchors[id(test)]
        parts.append(
            f'<section class="measured" id="{anchor}-m"><h3>{_link(anchor, _short(test.name))}</h3>'
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
        name = _link(anchor if failed else None, test.name)
        lines.append(
            f"<tr{place}><td>{name}</td>{_mark(test.verdict.value, kind)}<td>{test.duration_s:.3f} s</td>"
            f"<td>{'' if failed else page_text(test.reason)}</td></tr>"
        )
    lines += [
        f"<tr><td>{page_text(name)}</td>{_mark(DID_NOT_RUN, 'unsure')}<td></td><td>{page_text(run.stopped)}</td></tr>"
        for name in run.did_not_run()
    ]
    return '<h2 id="tests">Tests</h2>' + _table(("Test", "Outcome", "Time", "Why"), lines, "matrix")


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
