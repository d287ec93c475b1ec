"""The two CRCs against their published check values and against a bitwise definition."""

from hypothesis import given
from hypothesis import strategies as st

from protocol.wire.checksum import crc16_ccitt_false, crc32c


def crc32c_bit_by_bit(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def crc16_bit_by_bit(data: bytes) -> int:
    crc = 0xFFFF
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ (0x1021 if crc & 0x8000 else 0)) & 0xFFFF
    return crc


def test_check_values_are_the_published_ones() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert crc16_ccitt_false(b"123456789") == 0x29B1


@given(st.binary(max_size=248))
def test_both_agree_with_their_bitwise_definitions(data: bytes) -> None:
    assert crc32c(data) == crc32c_bit_by_bit(data)
    assert crc16_ccitt_false(data) == crc16_bit_by_bit(data)


@given(st.binary(max_size=248))
def test_a_message_with_its_own_crc_has_a_constant_crc(data: bytes) -> None:
    assert crc32c(data + crc32c(data).to_bytes(4, "little")) == 0x48674BC7
