"""What the clinic has configured: numbers that replace those of the model, texts, and who may read of therapy [SPEC 6].

Which values are taken is `commands.configuration`'s. What was never written holds as the pump was made.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from protocol.identifiers import ConfigId

if TYPE_CHECKING:
    from firmware_emu.profile import PumpModel

FIELD_OF: Final = {
    ConfigId.CATHETER_NL: "catheter_nl",
    ConfigId.TUBING_NL: "tubing_nl",
    ConfigId.BOLUS_MAX_NL: "bolus_max_nl",
    ConfigId.HOUR_MAX_NL: "hour_max_nl",
    ConfigId.DAY_MAX_NL: "day_max_nl",
    ConfigId.PROGRAM_DAY_MAX_NL: "program_day_max_nl",
    ConfigId.CRITICAL_INTERVAL_S: "critical_interval_s",
    ConfigId.NONCRITICAL_INTERVAL_S: "noncritical_interval_s",
}
"""The field of the model that an item replaces."""
TEXT_IDS: Final = (ConfigId.PATIENT_ID, ConfigId.NOTES, ConfigId.DRUG_NAME, ConfigId.CATHETER_MODEL)
_ROW: Final = struct.Struct("<HI")
_HEAD: Final = struct.Struct("<?B")  # patient may read, number of rows


class Settings:
    """The numbers: Region.SETTINGS."""

    __slots__ = ("numbers", "patient_may_read_therapy")

    def __init__(self) -> None:
        self.numbers: dict[ConfigId, int] = {}
        self.patient_may_read_therapy = False

    def applied_to(self, model: PumpModel) -> PumpModel:
        """The model with what the clinic has set, and else with the volumes of the path that the pump was told."""
        fields: dict[str, Any] = {
            "tubing_nl": model.tubing_nl + model.tubing_told_excess_nl,
            "tubing_told_excess_nl": 0,
            "catheter_nl": model.catheter_nl + model.catheter_told_excess_nl,
            "catheter_told_excess_nl": 0,
        }
        fields |= {FIELD_OF[config_id]: value for config_id, value in self.numbers.items()}
        return replace(model, **fields)

    def pack(self) -> bytes:
        """Bytes of the region."""
        rows = sorted(self.numbers.items())
        return _HEAD.pack(self.patient_may_read_therapy, len(rows)) + b"".join(
            _ROW.pack(*row) for row in rows
        )

    @classmethod
    def unpack(cls, data: bytes) -> Settings:
        """The numbers as packed; ValueError where these bytes are none."""
        settings = cls()
        if len(data) < _HEAD.size:
            raise ValueError(f"settings in {len(data)} bytes")
        settings.patient_may_read_therapy, count = _HEAD.unpack_from(data)
        if len(data) != _HEAD.size + count * _ROW.size:
            raise ValueError(f"{count} settings in {len(data)} bytes")
        for number, value in _ROW.iter_unpack(data[_HEAD.size :]):
            config_id = ConfigId(number)
            if config_id not in FIELD_OF:
                raise ValueError(f"{config_id.name} is no number of the model")
            settings.numbers[config_id] = value
        return settings


class Texts:
    """The texts, in UTF-8: Region.TEXTS."""

    __slots__ = ("texts",)

    def __init__(self) -> None:
        self.texts: dict[ConfigId, bytes] = dict.fromkeys(TEXT_IDS, b"")

    def pack(self) -> bytes:
        """Bytes of the region: each text with its length before it."""
        return b"".join(bytes([len(text)]) + text for text in self.texts.values())

    @classmethod
    def unpack(cls, data: bytes) -> Texts:
        """The texts as packed; ValueError where these bytes are none."""
        texts, position = cls(), 0
        for config_id in TEXT_IDS:
            end = position + 1 + (data[position] if position < len(data) else 0)
            texts.texts[config_id] = data[position + 1 : end]
            position = end
        if position != len(data):
            raise ValueError(f"{len(TEXT_IDS)} texts in {len(data)} bytes, expected {position}")
        return texts
