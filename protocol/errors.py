"""The base classes of errors, which say whose fault it is: ours or the other end's.

A damaged frame is neither: it is a value with a reason (`frame.BadFrame`), since noise is nobody's fault.
"""

from __future__ import annotations


class ProtocolError(Exception):
    """The base of both, never raised itself."""


class LocalError(ProtocolError):
    """We broke the rules of the conversation: a bug in the caller, nothing came from the wire."""


class RemoteError(ProtocolError):
    """The other end sent, in a good frame, what the protocol does not allow."""
