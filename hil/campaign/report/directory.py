"""The directory of a campaign's report, held by one run, in which no older report is taken for its own."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from hil.campaign.report.documents import CAMPAIGN_SCHEMA
from hil.campaign.report.json_report import json_of
from hil.campaign.report.page import page_of
from hil.errors import BadConfiguration
from hil.held_directory import HeldDirectory

if TYPE_CHECKING:
    from hil.campaign.report.findings import Findings

PAGE_NAME: Final = "campaign.html"
JSON_NAME: Final = "campaign.json"
_HEAD_BYTES: Final = 200


class CampaignReportDirectory(HeldDirectory):
    """A directory with the page and the JSON of one campaign: to be taken before the first life, and written often."""

    def earlier(self) -> str:
        """What lies in the place of the report, in words; "" where nothing does.

        BadConfiguration where it is no report of a campaign. The directory is held.
        """
        there = [name for name in (PAGE_NAME, JSON_NAME) if os.path.lexists(self.path / name)]
        if not there:
            return ""
        if not self._is_ours():
            raise BadConfiguration(
                f"the report cannot be written to {self.path}: what lies there is no report of a campaign of ours: "
                f"{', '.join(there)}",
                advice="move it away, or name another directory",
            )
        written_at_s = (self.path / JSON_NAME).lstat().st_mtime
        when = datetime.fromtimestamp(written_at_s, UTC).strftime("%Y-%m-%d %H:%M UTC")
        return f"the report of a campaign in {self.path}, of {when}"

    def _is_ours(self) -> bool:
        path = self.path / JSON_NAME
        try:
            if path.is_symlink() or not path.is_file():
                return False
            with path.open("rb") as file:
                head = file.read(_HEAD_BYTES)
        except OSError:
            return False
        return f'"name": "{CAMPAIGN_SCHEMA["name"]}"'.encode() in head

    def write(self, found: Findings, *, by_other_code: bool = False) -> None:
        """Replace both files."""
        self.check()
        self.replace(JSON_NAME, json_of(found).encode("ascii"))
        page = page_of(found, by_other_code=by_other_code)
        self.replace(PAGE_NAME, page.encode("utf-8", "backslashreplace"))
