"""One request on its way through the controller, and the way it may be refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from protocol.log.entry import actor_of

if TYPE_CHECKING:
    from firmware_emu.now import TickNow
    from protocol.identifiers import ErrorCode, Opcode, Role


class RequestContext(NamedTuple):
    """A request that has passed role, length and enum checks. `message` is the request class of its opcode."""

    now: TickNow
    key_id: int
    role: Role
    slot: int
    opcode: Opcode
    message: Any
    cmd_crc: int
    """What names the content of a command [SPEC 9]; 0 where its message carries no `cmd_id`."""

    @property
    def actor(self) -> int:
        """Who, as the log writes it [SPEC 8]."""
        return actor_of(self.key_id, self.role, self.slot)

    @property
    def cmd_id(self) -> int:
        """The command's id; 0 where its message carries none."""
        return getattr(self.message, "cmd_id", 0)


class Refused(Exception):
    """Raised by a handler that refuses its request, before it has changed anything [SPEC 7].

    `nearest` is the limit where it is not said. `field` names what is refused in the request, as `volume_nl` or
    `header.groups.1`; None where it is no field.
    """

    def __init__(
        self,
        code: ErrorCode,
        detail: int = 0,
        limit: int = 0,
        nearest: int | None = None,
        field: str | None = None,
    ) -> None:
        super().__init__(code.name)
        self.code = code
        self.detail = detail
        self.limit = limit
        self.nearest = limit if nearest is None else nearest
        self.field = field
