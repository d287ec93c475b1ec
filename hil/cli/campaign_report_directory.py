"""The report of a campaign as `campaign run` and `campaign report` write it: its directory held, stderr told of it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from hil.campaign.report.directory import CampaignReportDirectory
from hil.campaign.report.findings import play_again
from hil.campaign.report.page import STORIES
from hil.campaign.shrinking import shrink_first
from hil.cli.output import say
from hil.errors import BadConfiguration
from hil.host_clock import host_ms
from hil.own_paths import path_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hil.campaign.playing import Lived
    from hil.campaign.report.findings import Findings


@contextmanager
def held_directory(named: str, option: str) -> Iterator[CampaignReportDirectory]:
    """A directory for a report, held; stderr says which report is to be replaced. Errors are those of the directory."""
    if not named:
        raise BadConfiguration(f"{option} names no directory", advice="name one")
    directory = CampaignReportDirectory(path_of(named, option))
    directory.take()
    try:
        earlier = directory.earlier()
        directory.try_to_write()
        if earlier:
            say(f"pumpbench: to be replaced: {earlier}")
        yield directory
    finally:
        directory.close()


@contextmanager
def unfinished_meanwhile(
    directory: CampaignReportDirectory | None, findings: Callable[[], Findings]
) -> Iterator[None]:
    """A report of what there is so far lies there while lives are played, and where that ends before its end.

    A run that is killed leaves none that looks finished. None: no report is wanted.
    """
    if directory is None:
        yield
        return
    directory.write(findings())
    try:
        yield
    except BaseException:
        directory.write(findings())
        raise


def write_report(
    directory: CampaignReportDirectory, found: Findings, code: str, *, shrink: bool = True
) -> None:
    """Write it; where `code`, which is this one, played the lives, with what is found by playing some again.

    With `shrink` the first violations are shrunk for it.
    """
    by_other_code = found.origin.code_sha256 != code
    if not by_other_code:
        if shrink:
            shrink_violations(found)
        play_again(found, STORIES)
    directory.write(found, by_other_code=by_other_code)


def shrink_violations(found: Findings) -> None:
    """Shrink the first violations, and say so on stderr; to be called where this code played the lives."""
    found.shrunk |= shrink_first(found.plan, found.result.violations, host_ms, _tell_shrinking)


def _tell_shrinking(lived: Lived) -> None:
    say(f"life {lived.seed}: looking for the fewest deeds that break {lived.invariant}")
