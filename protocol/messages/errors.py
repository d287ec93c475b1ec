"""The refusal that answers a request [SPEC 7]."""

from typing import NamedTuple

from protocol.codec.atoms import OFFSET_OR_NONE, U16, U32, Reserved, enum_of
from protocol.codec.layouts import message
from protocol.identifiers import ErrorClass, ErrorCode, StateChanged


@message(
    "error_class" / enum_of(ErrorClass),
    "code" / enum_of(ErrorCode, U16),
    "state_changed" / enum_of(StateChanged),
    "detail" / U32 * "the value refused",
    "retry_after_ms" / U16 * "0: no advice",
    "field_offset" / OFFSET_OR_NONE * "of the field refused, in the request's payload",
    Reserved(1),
    "limit" / U32 * "the limit it violates",
    "nearest" / U32 * "the nearest acceptable value",
)
class ErrorReply(NamedTuple):
    """ERR: the request was refused, and what it changed."""

    error_class: ErrorClass
    code: ErrorCode
    state_changed: StateChanged
    detail: int = 0
    retry_after_ms: int = 0
    field_offset: int | None = None
    limit: int = 0
    nearest: int = 0


def refusal(
    code: ErrorCode,
    state_changed: StateChanged = StateChanged.NO,
    *,
    detail: int = 0,
    field_offset: int | None = None,
    limit: int = 0,
    nearest: int = 0,
    retry_after_ms: int = 0,
) -> ErrorReply:
    """An ERR whose class follows from its code; numbers above 32 bits are told as the largest."""
    return ErrorReply(
        error_class=code.error_class,
        code=code,
        state_changed=state_changed,
        detail=_saturated(detail),
        retry_after_ms=min(retry_after_ms, 0xFFFF),
        field_offset=field_offset,
        limit=_saturated(limit),
        nearest=_saturated(nearest),
    )


def _saturated(value: int) -> int:
    return value & 0xFFFF_FFFF if value < 0 else min(value, 0xFFFF_FFFF)
