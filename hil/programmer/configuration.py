"""What the clinic sets of a pump: each item's value as Python has it, and as the wire carries it [SPEC 6]."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hil.errors import DeviceError, UsageError
from protocol.identifiers import ConfigId
from protocol.messages.configuration import CONFIG_VALUE_MAX

if TYPE_CHECKING:
    from collections.abc import Mapping

ConfigValue = str | int | bool
U32_BYTES: Final = 4
KIND_OF: Final[Mapping[ConfigId, type]] = {
    ConfigId.PATIENT_ID: str,
    ConfigId.NOTES: str,
    ConfigId.DRUG_NAME: str,
    ConfigId.CATHETER_MODEL: str,
    ConfigId.PATIENT_MAY_READ_THERAPY: bool,
}
"""What an item is where it is no whole number."""


def encoded_value(config_id: ConfigId, value: ConfigValue) -> bytes:
    """A value as CONFIG_WRITE carries it; UsageError where the item cannot have it."""
    kind = KIND_OF.get(config_id, int)
    if type(value) is not kind:
        raise UsageError(
            f"{config_id.name} takes a value of the type {kind.__name__}, and not {value!r}",
            advice="nothing was sent",
        )
    if isinstance(value, str):
        text = value.encode("utf-8", "surrogatepass")
        if len(text) > CONFIG_VALUE_MAX:
            raise UsageError(
                f"{config_id.name} takes {CONFIG_VALUE_MAX} bytes of UTF-8, and this text has {len(text)}",
                advice="nothing was sent",
            )
        return text
    if isinstance(value, bool):
        return bytes([value])
    if not 0 <= value < 1 << 8 * U32_BYTES:
        raise UsageError(f"{config_id.name} is {value}, not an integer in 0 to {(1 << 32) - 1}")
    return value.to_bytes(U32_BYTES, "little")


def decoded_value(config_id: ConfigId, data: bytes) -> ConfigValue:
    """A value that CONFIG_READ has answered; DeviceError where it is none."""
    kind = KIND_OF.get(config_id, int)
    try:
        if kind is str:
            return data.decode()
    except UnicodeDecodeError as error:
        raise _no_value(config_id, data) from error
    if len(data) != (1 if kind is bool else U32_BYTES):
        raise _no_value(config_id, data)
    number = int.from_bytes(data, "little")
    return bool(number) if kind is bool else number


def _no_value(config_id: ConfigId, data: bytes) -> DeviceError:
    return DeviceError(
        f"the pump answers {config_id.name} with {data.hex() or 'nothing'}, which is no value of it",
        advice="check the pump's firmware version",
    )
