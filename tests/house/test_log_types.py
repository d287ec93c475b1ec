"""Every type of log entry is entered by the pump's program, or it stands here why it is not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from protocol.log.types import LogType

if TYPE_CHECKING:
    from pathlib import Path

NEVER_ENTERED = {
    LogType.OCCLUSION: "an implant has no sensor of pressure: it cannot know [DOMAIN 8.1, FI 10]",
    LogType.BATT_LOW: "what the battery tells is ERI and EOS, and a brown-out RESET_BROWNOUT [DOMAIN 1.5]",
    LogType.RESISTANCE_HIGH: "the program does not measure the resistance of its battery [DOMAIN 1.5]",
}


def test_each_type_of_entry_is_named_by_the_controller_or_is_said_to_be_none_of_its_own(root: Path) -> None:
    """Whoever begins to enter one takes its row away."""
    sources = (root / "firmware_emu" / "controller").rglob("*.py")
    named = {name for path in sources for name in re.findall(r"LogType\.([A-Z_]+)", path.read_text())}
    assert {each.name for each in LogType} - named == {each.name for each in NEVER_ENTERED}
