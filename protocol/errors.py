"""Whose fault it is: ours (`LocalError`) or the other end's (`RemoteError`).

A damaged frame is neither: it is a value with a reason (`frame.BadFrame`), since noise accuses nobody.
"""

from __future__ import annotations


class ProtocolError(Exception):
    """Base of both; never raised itself."""


class LocalError(ProtocolError):
    """We broke the rules of the conversation: a bug in the caller, nothing came from the wire."""


class RemoteError(ProtocolError):
    """The other end sent, in a good frame, what the protocol does not allow."""
