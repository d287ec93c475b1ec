"""Device keys, and the published development keys, one for each role.

These four are no secret: they are printed here so that a newcomer's first command works without pairing. A
pump says in GET_INFO that it accepts them, and no real device ever should.
"""

from __future__ import annotations

from typing import NamedTuple

from protocol.identifiers import Role


class DeviceKey(NamedTuple):
    """A paired programmer as the pump knows it, at its place `slot` (0 to 7); repr hides the key."""

    key_id: int
    role: Role
    key: bytes
    slot: int
    development: bool

    def __repr__(self) -> str:
        kind = ", development" if self.development else ""
        return f"DeviceKey(key_id={self.key_id}, role={self.role.name}, slot={self.slot}{kind})"


DEVELOPMENT_KEYS = (
    DeviceKey(key_id=1, role=Role.OBSERVER, key=b"devkey:observer.", slot=0, development=True),
    DeviceKey(key_id=2, role=Role.PATIENT, key=b"devkey:patient..", slot=1, development=True),
    DeviceKey(key_id=3, role=Role.CLINICIAN, key=b"devkey:clinician", slot=2, development=True),
    DeviceKey(key_id=4, role=Role.SERVICE, key=b"devkey:service..", slot=3, development=True),
)


DEVELOPMENT_CARD = b"devkey:card....."
"""The published key of the implant card of a pump that takes the development keys."""


def is_published(key: bytes) -> bool:
    """Whether a key is one of those that everybody can read here."""
    return key == DEVELOPMENT_CARD or any(key == known.key for known in DEVELOPMENT_KEYS)


def development_key(role: Role) -> DeviceKey:
    """The published key of a role."""
    return next(key for key in DEVELOPMENT_KEYS if key.role is role)
