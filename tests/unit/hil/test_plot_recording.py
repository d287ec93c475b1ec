"""`pumpbench plot FILE.pcapng`: the course of a recording is drawn as it was, readable and small however long it is."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from click.testing import CliRunner, Result

from firmware_emu.controller.alarms.alarm_table import ALARMS
from firmware_emu.faults.catalogue import FAULTS
from hil.capture.course import LASTS, MOMENTARY, ONCE, Course, Point, Row, Stretch, course_of
from hil.capture.course_drawing import MOST_POINTS, draw_course, picture_of
from hil.capture.messages import NumberedMark, read_messages
from hil.cli import main
from hil.errors import BadConfiguration, UsageError
from tests.support.for_each import for_each

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hil.capture.messages import Read

SESSIONS = Path(__file__).parents[3] / "fixtures" / "sessions"
MIB = 1 << 20
HOUR_MS = 3_600_000


def course(name: str, *, with_truth: bool = True) -> Course:
    entries: Iterable[Read] = read_messages(SESSIONS / f"{name}.pcapng")
    if not with_truth:
        entries = (entry for entry in entries if not isinstance(entry, NumberedMark))
    return course_of(entries, name)


def row(drawn: Course, group: str, name: str) -> list[Stretch]:
    (found,) = [each.stretches for each in drawn.rows if (each.group, each.name) == (group, name)]
    return found


def plot(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main.cli, ["plot", *map(str, arguments)])


def test_rate_boluses_and_alarms_are_where_they_were() -> None:
    drawn = course("clinic_day")
    assert drawn.by_pump
    steps = [point for point, before in zip(drawn.rate_nl_per_day[1:], drawn.rate_nl_per_day, strict=False)
             if point.value != before.value]  # fmt: skip
    assert [(at_ms // 1_000, value) for at_ms, value in steps] == [
        (420, 660_000), (570, 0), (570, 660_000), (8_430, 0), (12_030, 660_000),
    ]  # fmt: skip
    cut, whole = row(drawn, "bolus", "bolus")
    assert (cut.begins_ms, cut.ends_ms, cut.says) == (
        420_000,
        570_000,
        "0.02 mL ordered, 0.005 mL delivered (STOP)",
    )
    assert whole.says == "0.01 mL ordered, 0.01 mL delivered (COMPLETE)"
    assert [each[:2] for each in row(drawn, "alarm", "BOLUS_PARTIAL")] == [(570_000, 570_000)]
    assert [each[:2] for each in row(drawn, "alarm", "STOP_EXPIRED")] == [(10_230_000, 12_030_000)]


def test_belief_falls_at_a_refill_and_truth_is_shown_where_the_world_tells_it() -> None:
    drawn = course("refill")
    assert Point(0, 2_050_000) in drawn.reservoir_calc_nl
    assert drawn.reservoir_true_nl == [Point(0, 2_050_000)]
    assert [each.says for each in row(drawn, "event", "fill")] == ["18 mL"]


def test_a_fault_is_drawn_for_as_long_as_it_lasts() -> None:
    assert [each[:2] for each in row(course("mri"), "fault", "mri")] == [(HOUR_MS, 4.5 * HOUR_MS)]
    cut = course("update_cut")
    assert [each[:2] for each in row(cut, "fault", "power-cut-at-write")] == [(HOUR_MS, HOUR_MS)]
    assert [each[:2] for each in row(cut, "event", "power lost")] == [(HOUR_MS, 3_624_200)]
    assert Point(HOUR_MS, None) in cut.rate_nl_per_day


def test_without_truth_alarms_and_boluses_stand_where_the_log_puts_them() -> None:
    drawn = course("clinic_day", with_truth=False)
    assert [each[:2] for each in row(drawn, "alarm", "STOP_EXPIRED")] == [(10_230_000, 12_030_000)]
    assert [each[:2] for each in row(drawn, "bolus", "bolus")] == [(420_000, 570_000), (7_770_000, 8_370_000)]


def test_errors_of_the_link_are_bad_frames_and_requests_sent_again_or_never_answered() -> None:
    ward, cut = course("lossy_ward"), course("update_cut")
    assert [each.begins_ms for each in row(ward, "link", "sent again")][:3] == [2_400, 2_400, 2_400]
    assert [each.begins_ms for each in row(ward, "link", "bad frame")][:2] == [4_200, 4_800]
    assert len(row(cut, "link", "no answer")) == 1
    assert all(each.group != "link" for each in course("mri").rows)


def test_what_is_said_of_alarms_and_faults_agrees_with_the_pump() -> None:
    assert {alarm.name for alarm, known in ALARMS.items() if known.momentary} == MOMENTARY
    assert set(FAULTS) >= {*ONCE, *LASTS}
    for name, parameters in LASTS.items():
        assert {each.name for each in FAULTS[name].parameters} >= set(parameters)


def crowded() -> Course:
    """A month with a status a minute, ten thousand errors, and names that a page must not take for its own."""
    minutes = range(60 * 24 * 30)
    rate = [Point(at * 60_000, 1_000_000 if at == 12_345 else 600_000) for at in minutes]
    volume = [Point(at * 60_000, 18_000_000 - at * 400) for at in minutes]
    errors = [Stretch(at * 200_000, at * 200_000, at, "</script><b>") for at in range(10_000)]
    rows = [Row("link", "bad <frame>", errors), *(Row("alarm", f"A{n}", errors[:400]) for n in range(50))]
    return Course(True, 0, minutes[-1] * 60_000, rate, volume, [], rows, 7, 0)


def test_a_long_recording_is_thinned_and_keeps_its_highest_value() -> None:
    picture = picture_of(crowded(), "a month")
    assert len(picture.rate) <= MOST_POINTS
    assert max(point.value or 0 for point in picture.rate) == 1_000_000
    assert (picture.rows[0].name, picture.labels[0]) == ("bad <frame>", "bad <frame> (10000)")
    assert picture.notes == ["7 sealed frames that no key opens are not in it", "11 more rows are not drawn"]


def test_a_page_is_one_small_file_that_fetches_nothing_and_runs_nothing_of_the_recording() -> None:
    whole = crowded()
    few_rows = whole._replace(rows=[*whole.rows[:6], Row("event", "one", whole.rows[0].stretches[:1])])
    page = draw_course(picture_of(few_rows, "<script>alert(1)</script>"), ".html").decode()
    assert len(page.encode()) < MIB
    assert page.count("<svg") == 1
    assert not re.search(r"""src=|<link|@import|fetch\(|XMLHttp|url\((?!#)|href="(?!#)""", page)
    assert page.count("<script") == page.count("</script>") == 2
    assert "<b>" not in page
    assert "alert(1)</script>" not in page


def test_a_recording_is_drawn_beside_itself_where_no_picture_is_named(tmp_path: Path) -> None:
    copy = Path(shutil.copy(SESSIONS / "mri.pcapng", tmp_path))
    done = plot(copy)
    assert (done.exit_code, done.stdout) == (0, f"{copy.with_suffix('.png')}\n")
    assert copy.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


@for_each(
    ("arguments", "error", "complaint"),
    [
        (
            (SESSIONS / "mri.pcapng", "--out", "x.gif"),
            BadConfiguration,
            "x.gif ends in none of .png, .svg, .html",
        ),
        (
            (SESSIONS / "mri.pcapng", SESSIONS / "refill.pcapng"),
            UsageError,
            "2 files are named, and a recording is",
        ),
        ((SESSIONS / "mri.toml",), UsageError, "nobody has said where the picture goes"),
        ((SESSIONS / "damaged" / "empty.pcapng", "--out", "x.png"), BadConfiguration, "empty.pcapng"),
        ((SESSIONS / "mri.toml", "--out", "x.png", "--key", "k"), UsageError, "--key opens a recording"),
        ((SESSIONS / "there-is-none.pcapng",), BadConfiguration, "cannot be read"),
    ],
)
def test_what_cannot_be_drawn_is_said(
    arguments: tuple[str | Path, ...], error: type[BadConfiguration | UsageError], complaint: str
) -> None:
    raised = plot(*arguments).exception
    assert isinstance(raised, error)
    assert complaint in raised.message


def test_a_page_names_each_thing_by_itself_and_scrolls_what_is_too_wide() -> None:
    page = draw_course(picture_of(course("clinic_day"), "a day"), ".html").decode()
    assert page.count("<td>bolus</td><td>bolus</td>") == 2, "and not `bolus (2)`, twice"
    assert "bolus (2)" in page[: page.index("<table>")]
    assert page.count("<div class=wide>") == 2


def test_what_began_in_one_moment_stands_in_the_order_of_its_packets() -> None:
    page = draw_course(picture_of(course("refill"), "a refill"), ".html").decode()
    times_and_packets = re.findall(r"<tr><td class=n>([\d.]+)</td>.*?<td class=n>(\d+)</td></tr>", page)
    listed = [(float(begins), int(packet)) for begins, packet in times_and_packets]
    assert len({begins for begins, _ in listed}) < len(listed), "some began together"
    assert listed == sorted(listed)
