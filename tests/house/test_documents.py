"""Prose keeps within 120 columns where a document does so, and what the README's commands write is ignored by git."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_PROSE_COLUMNS = 120
# Those that keep to it; a document that is wrapped is added.
WRAPPED = (
    *(
        "README.md",
        "fixtures/extensions/README.md",
        "fixtures/scenarios/README.md",
        "fixtures/sessions/README.md",
    ),
    *(
        "hil/capture/README.md",
        "hil/comparison/README.md",
        "hil/importing/README.md",
        "hil/instruments/README.md",
    ),
    *("hil/replay/README.md", "hil/robot/README.md", "hil/wireshark/README.md", "protocol/capture/README.md"),
)
WRITTEN = re.compile(r"(?:--out|--record|--link|--adopt|\btee|>)\s*(?:\./)?([\w.-]+)|\bcampaign run (\w+)")
LINK = re.compile(r"--link (?:\./)?([\w.-]+)")


def long_prose(document: str) -> list[str]:
    """Lines of prose over the limit: not of code, a table, a heading, or one word, as a link is, that cannot be cut."""
    found, in_code = [], False
    for line in document.splitlines():
        fence = line.lstrip().startswith("```")
        in_code ^= fence
        whole = in_code or fence or line.startswith(("|", "#")) or len(line.split()) == 1
        if not whole and len(line) > MAX_PROSE_COLUMNS:
            found.append(line)
    return found


def files_written(document: str) -> Iterator[str]:
    """Names of the files that the commands of a document write where they are run."""
    for block in re.findall(r"^```\w*\n(.*?)^```", document, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            command = line.partition(" #")[0]
            for named, plan in WRITTEN.findall(command):
                yield named or f"campaign-{plan}.sqlite3"
            for link in LINK.findall(command):
                yield f".{link}.pumpbench-lock"


@pytest.mark.parametrize("name", WRAPPED)
def test_no_line_of_prose_is_longer_than_a_document_may_have_them(root: Path, name: str) -> None:
    assert long_prose((root / name).read_text()) == []


def test_long_prose_is_found_and_code_tables_and_links_are_left_alone() -> None:
    long, word = "x " * 61, "x" * 121
    assert long_prose(f"{long}\n- {long}\n> {long}\n") == [long, f"- {long}", f"> {long}"]
    assert long_prose(f"```sh\n{long}\n```\n| {long}\n{word}\n") == []


def test_what_the_commands_of_the_readme_write_in_a_clone_is_no_change_of_it(
    root: Path, tmp_path: Path
) -> None:
    """So that `git status` shows a newcomer his own changes alone, and no `git add .` takes a recording along."""
    names = set(files_written((root / "README.md").read_text()))
    assert {"pump", "day.pcapng", "campaign-smoke.sqlite3"} <= names, "the commands are not read"
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    shutil.copy(root / ".gitignore", tmp_path)
    asked = ["git", "check-ignore", *sorted(names)]
    ignored = subprocess.run(asked, cwd=tmp_path, capture_output=True, text=True, check=False).stdout.split()
    assert names - set(ignored) == set()
