"""What a field tells of who was there: declared beside a layout, so that a recording can be shared without it."""

from __future__ import annotations

from enum import StrEnum


class Identity(StrEnum):
    """What kind of identity a field holds, by which it is replaced where a recording is made safe to share."""

    SERIAL = "serial number"  # of a device, in ASCII, filled up with zeros
    MEMORY = "memory"  # number of a memory; 0 none
    KEY_ID = "key"  # number of a paired key; 0 the implant card, FFFF one's own
    NONCE = "nonce"  # random, or how a nonce begins
    HANDLE = "handle"  # of the pump, made of the client's nonce
    PROOF = "proof"  # made by a key, or a key that is sealed
    NAME = "name"  # text about people, drugs or devices, in UTF-8
    CONFIG = "configuration"  # text where `config_id` beside it names a text
    LOG_ENTRIES = "log entries"  # as they are stored, each with identities of its own
