"""The published known answers, byte for byte: keys, proofs, and every line of a first conversation [SPEC 4]."""

from __future__ import annotations

import tomllib
from pathlib import Path

from protocol.codec.layouts import encode
from protocol.identifiers import Capability, Role, Suite
from protocol.link.client_end import ClientEnd
from protocol.link.development_keys import DeviceKey
from protocol.link.events import Request, Response, SessionOpened
from protocol.link.pump_end import PumpEnd
from protocol.link.session import client_proof, derive_keys, peer_handle, pump_proof, unseal
from protocol.messages.handshake import ClientHello, PumpHello
from protocol.wire.checksum import crc32c
from tests.support.for_each import for_each
from tests.unit.protocol.fake_wire import Host, frame_in

ANSWERS = tomllib.loads((Path(__file__).parents[3] / "fixtures/vectors/known_answers.toml").read_text())
KNOWN = ANSWERS["handshake"]
KEY = DeviceKey(
    KNOWN["key_id"], Role(KNOWN["role"]), bytes.fromhex(KNOWN["device_key"]), slot=0, development=False
)
CLIENT_HELLO = encode(
    ClientHello(1, 1, Suite.AES_128_CCM_8, KEY.role, KEY.key_id, bytes.fromhex(KNOWN["nonce_c"]))
)
PUMP_HELLO = encode(
    PumpHello(
        proto=1,
        suite=Suite.AES_128_CCM_8,
        sid=KNOWN["sid"],
        boot_count=KNOWN["boot_count"],
        nonce_p=bytes.fromhex(KNOWN["nonce_p"]),
        peer_handle=bytes.fromhex(KNOWN["peer_handle"]),
        caps=KNOWN["caps"],
    )
)


class Listed:
    """A random source that draws the known nonce."""

    def __init__(self, drawn: bytes) -> None:
        self.drawn = drawn

    def draw(self, length: int) -> bytes:
        assert length == len(self.drawn)
        return self.drawn


class KnownHost(Host):
    def key_of(self, key_id: int) -> DeviceKey | None:
        return KEY if key_id == KEY.key_id else None

    def draw(self, length: int) -> bytes:
        sid = int(KNOWN["sid"])
        return (sid.to_bytes(2, "little") + bytes.fromhex(KNOWN["nonce_p"]))[:length]

    def boot_count(self) -> int:
        return int(KNOWN["boot_count"])


def line(name: str) -> bytes:
    return b"\0" + bytes.fromhex(KNOWN["line"][name])


def test_keys_and_proofs() -> None:
    keys = derive_keys(KEY.key, CLIENT_HELLO, PUMP_HELLO)
    proof = client_proof(keys, CLIENT_HELLO, PUMP_HELLO)
    assert peer_handle(KEY.key, bytes.fromhex(KNOWN["nonce_c"])).hex() == KNOWN["peer_handle"]
    assert keys.sealing.hex() == KNOWN["sealing_key"]
    assert keys.proving.hex() == KNOWN["proving_key"]
    assert proof.hex() == KNOWN["client_proof"]
    assert pump_proof(keys, CLIENT_HELLO, PUMP_HELLO, proof).hex() == KNOWN["pump_proof"]


def test_both_ends_say_the_known_conversation_byte_for_byte() -> None:
    client = ClientEnd(key=KEY, entropy=Listed(bytes.fromhex(KNOWN["nonce_c"])))
    pump = PumpEnd(KnownHost(), caps=Capability(KNOWN["caps"]))
    client.open(0)
    assert client.take_output() == line("CLIENT_HELLO")
    pump.feed(line("CLIENT_HELLO"), 0)
    assert pump.next_event(0) is None
    assert pump.take_output() == line("PUMP_HELLO")
    client.feed(line("PUMP_HELLO"), 0)
    assert client.next_event(0) is None
    assert client.take_output() == line("CLIENT_PROOF")
    pump.feed(line("CLIENT_PROOF"), 0)
    assert isinstance(pump.next_event(0), SessionOpened)
    assert pump.take_output() == line("PUMP_PROOF")
    client.feed(line("PUMP_PROOF"), 0)
    assert isinstance(client.next_event(0), SessionOpened)
    for known in ANSWERS["request"]:
        payload = bytes.fromhex(known["payload"])
        wire = b"\0" + bytes.fromhex(known["line"])
        assert client.request(known["opcode"], payload, 0) == known["ctr"]
        assert client.take_output() == wire
        pump.feed(wire, 0)
        assert pump.next_event(0) == Request(known["opcode"], payload, known["ctr"])
        pump.respond(b"understood")
        client.feed(pump.take_output(), 0)
        assert client.next_event(0) == Response(known["opcode"], b"understood")


def test_the_cmd_crc_of_the_known_bolus_commit() -> None:
    (known,) = [request for request in ANSWERS["request"] if "cmd_crc" in request]
    assert crc32c(bytes([known["opcode"]]) + bytes.fromhex(known["payload"])) == known["cmd_crc"]


@for_each("at", range(12))
def test_the_tag_covers_every_byte_of_the_header(at: int) -> None:
    frame = frame_in(bytes.fromhex(ANSWERS["request"][1]["line"]))
    header = bytearray(frame.header)
    header[at] ^= 1
    key = bytes.fromhex(KNOWN["sealing_key"])
    assert unseal(key, 0, frame.sid, frame.ctr, frame.header, frame.body) is not None
    assert unseal(key, 0, frame.sid, frame.ctr, bytes(header), frame.body) is None
    assert unseal(key, 1, frame.sid, frame.ctr, frame.header, frame.body) is None
