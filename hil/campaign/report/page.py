"""What a campaign found as one HTML page that opens offline: what did not hold, the worst faults, and their stories.

What lives say (errors may quote anything) is escaped; the page has no script, and its policy lets it load nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from firmware_emu.faults.catalogue import FAULTS
from firmware_emu.patient.person import NO_DIAGNOSIS
from hil.campaign.checked_lives import checked_line
from hil.campaign.cohort_told import cohort_part
from hil.campaign.explored_told import explored_part
from hil.campaign.pairs import LEFT_OUT, WORKS
from hil.campaign.patient_watch import RISKS
from hil.campaign.report.cohort import cohort_html
from hil.campaign.report.distribution import histogram, title_of, value_words
from hil.campaign.report.explored import explored_html
from hil.campaign.report.findings import BROKEN_MAX, headline_of
from hil.campaign.report.json_report import (
    at_work_in,
    invariants_of,
    meaning_of_measure,
    measures_of,
)
from hil.campaign.running import pump_years_per_s
from hil.campaign.story import lines as story_lines
from hil.campaign.violations_told import lives_text, meaning_of, replay_of
from hil.pages.html_page import LIMIT_BYTES, anchor_of, html_page, link, mark, named_cells, places, table
from hil.pages.page_text import page_text
from hil.quantity_words import counted, duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hil.campaign.deed import Event
    from hil.campaign.playing import Lived
    from hil.campaign.report.findings import FaultFound, Findings
    from hil.campaign.shrinking import Shrunk

STORIES: Final = 10
"""Of so many of the worst faults the page has a story."""
_MOMENTS_MAX: Final = 400
"""Of a longer story the last so many are shown."""
_ROOM: Final = (50, 20, 5, 1, 0)
"""How many stories of broken lives a page has, the fewer the less room there is."""
_OPEN_ROWS: Final = 12
"""So many faults are shown at once, the others folded."""
_STYLE: Final = """
table.grid{width:auto;font-size:.85em}
.grid th,.grid td{text-align:center;padding:.2rem .35rem;border:1px solid #d0d7de}
.grid tbody th{text-align:left;white-space:nowrap;position:sticky;left:0;font-weight:400}
.grid .hit,.key .hit{background:#e6f4ea}.grid .never,.key .never{background:#ffd8a8;font-weight:700}
.grid .no,.key .no{background:#eaeef2;color:#57606a}.key span{padding:.05rem .4rem;margin-right:.3rem}
section.test.plain{border-left-color:#d0d7de;color:inherit}
.figures{display:grid;gap:1.5rem 2rem;grid-template-columns:repeat(auto-fit,minmax(min(100%,28rem),1fr))}
.figures figure.curve{margin:0;max-width:none}.figures figure.curve>svg{min-width:0}
figure.curve h3{font-size:1rem;margin:.2rem 0}figure.curve p{margin:.2rem 0;color:#57606a;font-size:.9em}
ol.story{font-size:.85em;padding-left:3.2rem;margin:.3rem 0}
ol.story time{color:#57606a;font-variant-numeric:tabular-nums}
code{overflow-wrap:anywhere;background:#f6f8fa;padding:0 .2rem}
@media(max-width:40rem){.curve text{font-size:15px}.measured td.id{font-weight:600}}
td a{white-space:nowrap}
"""
_HEADLINE: Final = {
    "violations": ("most violations", "at work in {}"),
    "risk": (
        "most time of patients at risk",
        "{} more than usual, in the mean of the lives in which it took effect",
    ),
    "lost": ("most therapy lost", "{} more than usual, in the mean of the lives in which it took effect"),
    "volume": ("most wrong volume", "{} at a refill, in the mean"),
}
"""What is said of the worst fault of each kind of harm."""
_PLACES: Final = {
    "cohort": "The cohort",
    "faults": "Faults, the worst first",
    "violations": "Violations",
    "invariants": "Invariants",
    "pairs": "Faults in procedures",
    "marks": "Never reached",
    "explored": "From rare states",
    "measured": "Distributions",
    "each": "Each fault",
    "played": "What was played",
}
"""The parts of a page by their anchors."""


def page_of(found: Findings, *, by_other_code: bool = False) -> str:
    """The page, under 2 MB: where there is no room, the stories of further violations stay out, and it says so.

    `by_other_code`: the lives were played by other code than this, so that commands would play other ones.
    """
    text = ""
    for stories in _ROOM:
        text = _page(found, stories, by_other_code=by_other_code)
        if len(text.encode("utf-8", "backslashreplace")) < LIMIT_BYTES:
            break
    return text


def _page(found: Findings, stories: int, *, by_other_code: bool) -> str:
    plan, result = found.plan, found.result
    is_cohort = plan.life == "cohort"
    left_out = {"cohort": not is_cohort, "explored": not plan.explore}
    parts = [
        f"<h1>pumpbench: campaign {page_text(plan.name)}</h1>",
        '<p class="small">Emulated pumps. Not a medical device; no evidence about any patient\'s pump.</p>',
        _banner(found),
        _unfinished(found),
        _other_code() if by_other_code else "",
        _worst(found),
        f'<p class="small">Patients: {page_text(NO_DIAGNOSIS)}</p>' if plan.patient else "",
        places({anchor: words for anchor, words in _PLACES.items() if not left_out.get(anchor)}),
        cohort_html(cohort_part(result.cohort)) if is_cohort else "",
        _faults(found),
        _violations(found, stories),
        _invariants(found),
        _pairs(found),
        _marks(found),
        explored_html(explored_part(result)) if plan.explore else "",
        _measured(found),
        '<h2 id="each">Each fault</h2>',
        *(_fault_section(found, fault) for fault in found.faults),
        _played(found),
    ]
    told = f"{counted(len(result.violations), 'violation')} in {result.lives} lives"
    return html_page(f"pumpbench: campaign {plan.name}: {told}", parts, _STYLE)


# What is seen first


def _banner(found: Findings) -> str:
    result, broken = found.result, len(found.result.violations)
    if broken:
        said, kind = f"An invariant does not hold in {broken} of {lives_text(result.lives)}", "bad"
    elif not result.lives:
        said, kind = "No life was played: nothing is shown", "unsure"
    else:
        count = len(found.plan.invariants)
        said, kind = f"{counted(count, 'invariant')} held in each of {lives_text(result.lives)}", "good"
        if not found.finished:
            kind = "unsure"
    days = f"{result.pump_days:,} days of pumps"
    return f'<p class="banner {kind}">{page_text(f"{said}; {days}")}</p>'


def _value(name: str, value: int) -> str:
    """A value as HTML that no line is broken in."""
    return value_words(name, value).replace(" ", "&nbsp;")


def _unfinished(found: Findings) -> str:
    if found.finished:
        return ""
    plan = found.plan
    if plan.pump_days is not None:
        budget = f"{found.result.pump_days:,} of {plan.pump_days:,} pump-days"
    else:
        budget = f"{found.origin.elapsed_ms // 60_000} of {plan.minutes} minutes"
    written = "were played when this page was written"
    return f'<p class="banner unsure">UNFINISHED: {budget} {written}; --resume goes on</p>'


def _other_code() -> str:
    return (
        '<p class="banner unsure">Other code than that which made this page played these lives: '
        "a command below may play another life, and none was played again: the numbers are those of the file</p>"
    )


def _worst(found: Findings) -> str:
    """Which fault is worst, by what, and where its story is."""
    headline = headline_of(found)
    if not found.result.lives:
        return ""  # of what was not played no fault is innocent
    if not headline:
        return "<p><strong>Worst fault:</strong> none did harm.</p>"
    said: list[str] = []
    for kind, (fault, harm) in headline.items():
        what, how = _HEADLINE[kind]
        unit = "_nl" if kind == "volume" else "_ms"
        amount = f"{harm} of {len(found.result.violations)}" if kind == "violations" else _value(unit, harm)
        head = "" if said else "Worst fault, "
        story = _story_of(found, fault)
        seen = f" (story: {story})" if story and kind != "volume" else ""
        if kind == "violations" and (without := found.without(fault)):
            amount += f"; without it too in {', '.join(_life_link(found, seed) for seed in without)}"
        said.append(
            f"<li><strong>{(head + what).capitalize()}: {_fault_link(fault)}</strong>{seen}: {how.format(amount)}</li>"
        )
    return f"<ul>{''.join(said)}</ul>"


# Faults


def _fault_link(fault: FaultFound) -> str:
    return link(anchor_of(fault.name, "f-"), fault.name)


def _faults(found: Findings) -> str:
    head = '<h2 id="faults">Faults, the worst first</h2>'
    if not found.faults:
        return f"{head}<p>{'No fault took effect' if found.result.lives else 'No life was played'}.</p>"
    risks = list(RISKS) if found.plan.patient else []
    columns = (
        "Fault",
        "Violations",
        "Lives",
        "Therapy lost beyond the usual, mean",
        "Without therapy",
        *(f"{title_of(risk)} in a life" for risk in risks),
        "Volume wrong, mean (largest)",
        "Story",
    )
    rows = [_fault_row(found, fault, columns, risks) for fault in found.faults]
    more = ""
    if len(rows) > _OPEN_ROWS:
        rest = table(columns, rows[_OPEN_ROWS:], "measured")
        more = f"<details><summary>{len(rows) - _OPEN_ROWS} more faults</summary>{rest}</details>"
    lost = f"{found.usual.lost_share:.1%}"
    return (
        f"{head}<p>Ranked by lives that broke an invariant while the fault was at work, then by what patients "
        "risked, then by how much more therapy than usual was lost, then by the error of the volume. A fault is at "
        f"work while it takes effect and a day after it; of all time {lost} was without therapy. A high place is a "
        "reason to read a story, and no proof.</p>"
        f"{table(columns, rows[:_OPEN_ROWS], 'measured')}{more}"
    )


def _fault_row(found: Findings, fault: FaultFound, columns: Sequence[str], risks: Sequence[str]) -> str:
    cells = [
        f"{len(fault.violations)}",
        f"{fault.lives}",
        _value("_ms", fault.more_lost_ms(found.usual)),
        f"{fault.lost_share:.1%} of {_value('_ms', fault.at_work_ms)}",
        *(_value("_ms", fault.risks_ms[risk] // max(fault.lives, 1)) for risk in risks),
        f"{_value('_nl', fault.error_each_nl)} ({_value('_nl', fault.error_nl)})"
        if fault.error_nl
        else "none",
        _story_of(found, fault) or "&ndash;",
    ]
    return f'<tr><td class="id" data-label="Fault">{_fault_link(fault)}</td>{named_cells(columns[1:], cells)}</tr>'


def _story_of(found: Findings, fault: FaultFound) -> str:
    """The life that tells most of a fault; "" where it did no harm."""
    seed = fault.violations[0] if fault.violations else fault.worst_seed
    return "" if seed is None else _life_link(found, seed)


def _life_link(found: Findings, seed: int) -> str:
    """A life, with a way to its story where the page has it."""
    return link(f"life-{seed}" if seed in found.on_page else None, f"life {seed}")


def _fault_section(found: Findings, fault: FaultFound) -> str:
    row = FAULTS[fault.name]
    lost = f"without therapy for {_value('_ms', fault.lost_ms)} of {_value('_ms', fault.at_work_ms)} at work"
    lives = ", ".join(_life_link(found, seed) for seed in fault.violations[:BROKEN_MAX])
    said = [
        f"<p>{page_text(row.summary)} Seen by the pump: {page_text(row.seen_as)}.</p>",
        f"<p>Took effect {fault.effects:,} times in {lives_text(fault.lives)}; {lost}.</p>",
    ]
    if lives:
        said.append(f"<p>At work when an invariant broke: {lives}</p>")
    seed = fault.worst_seed
    if seed is not None:
        harm = _harm_words(fault)
        command = page_text(replay_of(found.plan_named, seed))
        said.append(f"<p>Most harm in {_life_link(found, seed)}: {harm}; again: <code>{command}</code></p>")
    anchor = anchor_of(fault.name, "f-")
    kind = "" if fault.violations else " plain"
    return (
        f'<section class="test{kind}" id="{anchor}"><h3>{page_text(fault.name)}</h3>{"".join(said)}</section>'
    )


# What did not hold


def _violations(found: Findings, stories: int) -> str:
    """Each life that broke an invariant, and the lives that were played again for their stories."""
    broken = found.result.violations
    head = '<h2 id="violations">Violations</h2>'
    if not broken:
        held = "No invariant was violated." if found.result.lives else "No life was played."
        head += f"<p>{held}</p>"
    shown = [
        _violation(found, lived, story=number < stories, open_=number == 0)
        for number, lived in enumerate(broken[:BROKEN_MAX])
    ]
    left = len(broken) - stories
    if left > 0:
        shown.append(f'<p class="banner unsure">Stories of {left} more are in campaign.json alone</p>')
    others = [
        _again(found, seed, events, open_=not broken and number == 0)
        for number, (seed, events) in enumerate(
            (seed, events) for seed, events in found.stories.items() if seed not in found.broken_seeds
        )
    ]
    if others:
        others.insert(0, "<h2>Stories of other lives with much harm</h2>")
    return head + "".join(shown + others)


def _violation(found: Findings, lived: Lived, *, story: bool, open_: bool) -> str:
    invariant = lived.invariant or ""
    shrunk = found.shrunk.get(lived.seed)
    faults = ", ".join(_at_work(name, shrunk) for name in at_work_in(lived)) or "none"
    told = "" if shrunk is None else _least(found, shrunk, open_=open_)
    told += _story(lived.story, open_=open_ and shrunk is None) if story else ""
    again = page_text(replay_of(found.plan_named, lived.seed, branch=lived.branch))
    where = f" in its fork {page_text(lived.branch)}" if lived.branch else ""
    return (
        f'<section class="test" id="life-{lived.seed}"><h3>Life {lived.seed}{where}: {page_text(invariant)}, '
        f"{page_text(meaning_of(invariant))}, does not hold</h3><pre>{page_text(lived.found)}</pre>"
        f"<p>Faults at work: {faults}. Again: <code>{again}</code></p>{told}</section>"
    )


def _at_work(name: str, shrunk: Shrunk | None) -> str:
    needless = shrunk is not None and name not in shrunk.faults
    return link(anchor_of(name, "f-"), name) + (" (comes without it too)" if needless else "")


def _least(found: Findings, shrunk: Shrunk, *, open_: bool) -> str:
    """The same by the fewest deeds."""
    words = f"Short story: {counted(len(shrunk.row), 'deed')} of {shrunk.before} will do"
    words += ", and perhaps fewer" if shrunk.stopped_early else ""
    again = page_text(replay_of(found.plan_named, shrunk.seed, deeds=shrunk.text))
    return f"{_story(shrunk.story, open_=open_, words=words)}<p>These alone: <code>{again}</code></p>"


def _again(found: Findings, seed: int, events: tuple[Event, ...], *, open_: bool) -> str:
    harm = "; ".join(
        f"{_fault_link(fault)} at work: {_harm_words(fault)}"
        for fault in found.faults
        if fault.worst_seed == seed
    )
    return (
        f'<section class="test plain" id="life-{seed}"><h3>Life {seed}</h3><p>{harm}. '
        f"Again: <code>{page_text(replay_of(found.plan_named, seed))}</code></p>{_story(events, open_=open_)}</section>"
    )


def _harm_words(fault: FaultFound) -> str:
    """What harm was in the worst life of a fault."""
    lost = f"{_value('_ms', fault.worst_lost_ms)} without therapy"
    risk_ms = fault.worst_risk_ms
    return f"{_value('_ms', risk_ms)} with the patient at risk, {lost}" if risk_ms else lost


def _story(events: tuple[Event, ...], *, open_: bool, words: str = "") -> str:
    told = story_lines(events)
    summary = words or f"Story: {counted(len(told), 'moment')}"
    shown = told[-_MOMENTS_MAX:]
    first = len(told) - len(shown) + 1
    before = f"<p>{first - 1} before</p>" if first > 1 else ""
    rows = (line.partition("  ") for line in shown)
    lines = "".join(f"<li><time>{page_text(at)}</time> {page_text(deeds)}</li>" for at, _, deeds in rows)
    return (
        f"<details{' open' if open_ else ''}><summary>{page_text(summary)}</summary>{before}"
        f'<ol class="story" start="{first}">{lines}</ol></details>'
    )


def _invariants(found: Findings) -> str:
    rows = []
    for each in invariants_of(found):
        broken, lives = each["violations"], found.result.lives
        shown = (
            mark(f"broken in {broken}", "bad")
            if broken
            else mark("held" if lives else "not looked at", _held(lives))
        )
        rows.append(
            f'<tr><td class="id">{page_text(each["name"])}</td>{shown}<td>{page_text(each["meaning"])}</td></tr>'
        )
    return '<h2 id="invariants">Invariants</h2>' + table(("Invariant", "Verdict", "What must hold"), rows)


def _held(lives: int) -> str:
    return "good" if lives else "unsure"


# What was reached


def _pairs(found: Findings) -> str:
    head = '<h2 id="pairs">Faults in procedures</h2>'
    if not found.plan.pairs:
        return f"{head}<p>The plan plays no pairs of fault and procedure.</p>"
    rows, never, due = [], 0, 0
    for fault in found.plan.faults:
        cells = []
        for work in WORKS:
            lives = found.result.pairs[fault, work]
            why = LEFT_OUT.get((fault, work))
            if why is not None:
                cells.append(f'<td class="no" title="{page_text(why)}">&ndash;</td>')
                continue
            due, never = due + 1, never + (not lives)
            cells.append(f'<td class="{"hit" if lives else "never"}">{lives}</td>')
        rows.append(f"<tr><th>{page_text(fault)}</th>{''.join(cells)}</tr>")
    reasons: dict[str, list[str]] = {}
    for (fault, work), why in LEFT_OUT.items():
        if fault in found.plan.faults:
            reasons.setdefault(why, []).append(f"{fault} in {work}")
    whys = "".join(
        f"<li>{page_text(why)}: {page_text(', '.join(those))}</li>" for why, those in reasons.items()
    )
    return (
        f"{head}<p>In how many lives each fault took effect in each procedure; {never} of {due} pairs never. "
        '<span class="key"><span class="hit">3</span>reached <span class="never">0</span>never reached '
        '<span class="no">&ndash;</span>makes no sense</span></p>'
        f"{table(('Fault', *WORKS), rows, 'grid')}"
        f"<details><summary>Why some make no sense</summary><ul>{whys}</ul></details>"
    )


def _marks(found: Findings) -> str:
    if not found.plan.marks:
        return '<h2 id="marks">Never reached</h2><p>The plan asks for no marks.</p>'
    marks = {name: found.result.marks[name] for name in found.plan.marks}
    never = [name for name, lives in marks.items() if not lives]
    listed = "".join(f"<li>{page_text(name)}</li>" for name in never)
    rows = [f"<tr><td>{page_text(name)}</td><td>{lives}</td></tr>" for name, lives in marks.items() if lives]
    reached = table(("Reached", "Lives"), rows) if rows else ""
    return (
        f'<h2 id="marks">Never reached: {len(never)} of {counted(len(marks), "mark")}</h2>'
        + (f"<ul>{listed}</ul>" if never else "<p>Each was reached.</p>")
        + (f"<details><summary>{len(rows)} were reached</summary>{reached}</details>" if rows else "")
    )


def _measured(found: Findings) -> str:
    head = '<h2 id="measured">Distributions</h2>'
    if not found.measured:
        return f"{head}<p>Nothing was measured.</p>"
    figures = [histogram(name, meaning_of_measure(name), found.measured[name]) for name in measures_of(found)]
    return f'{head}<p>Of all lives, in pump time.</p><div class="figures">{"".join(figures)}</div>'


def _played(found: Findings) -> str:
    plan, origin, result = found.plan, found.origin, found.result
    last = plan.first_seed + result.lives - 1
    facts = {
        "plan": f"{plan.name}, SHA-256 {plan.digest()}",
        "seeds": f"{plan.first_seed} to {last}" if result.lives else "none",
        "lives": f"{result.lives}" + (f", and {found.beyond} that do not count" if found.beyond else ""),
        "played again": _checked(found),
        "days of pumps": f"{result.pump_days:,}",
        "finished": "yes" if found.finished else "no",
        "began": datetime.fromtimestamp(origin.began_at_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        "played for": f"{duration(origin.elapsed_ms // 1_000)}, in {counted(origin.runs, 'run')}",
        "speed": f"{pump_years_per_s(result.pump_ms, origin.elapsed_ms):.2f} pump-years a second",
        "pumpbench": origin.pumpbench,
        "Python": origin.python,
        "SHA-256 of the code": origin.code_sha256,
    }
    rows = _facts(facts.items())
    return f'<h2 id="played">What was played</h2><div class="wide"><table>{rows}</table></div>'


def _checked(found: Findings) -> str:
    seeds = f" ({', '.join(map(str, found.checked))})" if found.checked else ""
    return (checked_line(found.checked) or "none: there were no lives of earlier runs") + seeds


def _facts(facts: Iterable[tuple[str, str]]) -> str:
    return "".join(f"<tr><th>{page_text(name)}</th><td>{page_text(value)}</td></tr>" for name, value in facts)
