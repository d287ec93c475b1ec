"""What puts a board into its first state: a command of the lab that erases its memory, and flashes it where it must."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hil.instruments.declaration import BenchAccess

PROFILE_WORD: Final = "{profile}"
"""In the command: where the name or the file of the profile stands that the board is to be made from."""
COMMAND: Final = "the command that resets the board"


class ResetLine:
    """The reset of one board. It is no restart: what the board remembers of earlier tests is gone."""

    exactness = "no time stated"

    def __init__(self, settings: Mapping[str, Any], access: BenchAccess) -> None:
        self._settings = settings
        self._access = access

    def renew(self, profile: str) -> None:
        """Run the command for this profile, and wait until the board has booted."""
        words = tuple(word.replace(PROFILE_WORD, profile) for word in self._settings["command"])
        self._access.run_command(words, COMMAND)
        if self._settings["settle_ms"]:
            self._access.wait_ms(self._settings["settle_ms"])

    def check(self, _limit_ms: int) -> str:
        """See that its command could be run."""
        self._access.find_program(self._settings["command"], COMMAND)
        return "its command is there, and was not run"

    def close(self) -> None:
        """It has nothing open."""
