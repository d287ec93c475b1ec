"""Messages of a vendor: added by one registration, and treated as all others are: role, layout, ledger, refusal."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import pytest

from firmware_emu.controller.commands.ledgered import done, repeated
from firmware_emu.controller.commands.request_context import Refused
from firmware_emu.controller.commands.table import handlers_of
from hil.campaign.conversation import Conversation, profile_of
from protocol import registry
from protocol.codec.atoms import U32
from protocol.codec.layouts import decode, message, nested
from protocol.identifiers import Capability, ErrorCode, Opcode, Outcome, Role
from protocol.messages.command import Command
from protocol.messages.conversation import Ping
from protocol.messages.handshake import PumpHello
from protocol.messages.ledger import CommandResult, QueryCmd
from protocol.messages.reading import GetStatus
from protocol.registry import VendorMessages, register_vendor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from firmware_emu.controller.commands.device_context import DeviceContext
    from firmware_emu.controller.commands.request_context import RequestContext

MARK = Opcode(0xC0)
LAST = Opcode(0xEF)


@message("cmd_id" / U32, "value" / U32)
class SetMark(NamedTuple):
    """Remember a number, under an id."""

    cmd_id: int
    value: int

    @staticmethod
    def reply_class() -> type[SetMarkReply]:
        return SetMarkReply


@message("result" / nested(CommandResult))
class SetMarkReply(NamedTuple):
    """It is remembered."""

    result: CommandResult


@message()
class GetMark(NamedTuple):
    """Never registered."""

    @staticmethod
    def reply_class() -> type[SetMarkReply]:
        return SetMarkReply


def set_mark(device: DeviceContext, request: RequestContext) -> SetMarkReply:
    result = repeated(device.records, request)
    if result is not None:
        return SetMarkReply(result)
    if request.message.value == 0:
        raise Refused(ErrorCode.ENUM, limit=1, nearest=1, field="value")
    return SetMarkReply(done(device.records, request, seq=0))


ROW = Command.of(MARK, SetMark, roles="C", carries_cmd_id=True)
VENDOR = VendorMessages("marks", (ROW,), lambda: {MARK: set_mark})


def _forget(*classes: type) -> None:
    registry.VENDORS.pop("marks", None)
    handlers_of.cache_clear()
    for cls in classes:
        row = registry._BY_CLASS.pop(cls, None)
        if row is not None:
            registry._VENDOR_COMMANDS.pop(row.opcode, None)


@pytest.fixture
def registered() -> Iterator[None]:
    register_vendor(VENDOR)
    yield
    _forget(SetMark, SetMarkReply)


def pump_with_marks(role: Role = Role.CLINICIAN) -> Conversation:
    profile = replace(profile_of(), vendor_messages=("marks",))
    talk = Conversation.with_new_pump(profile)
    return talk if role is Role.CLINICIAN else Conversation(talk.pump, role)


@pytest.mark.usefixtures("registered")
def test_a_vendors_command_goes_through_the_ledger_and_is_done_once() -> None:
    talk = pump_with_marks()
    assert talk.granted(SetMark(1, 7)).result.outcome is Outcome.DONE
    again = talk.granted(SetMark(1, 7)).result
    assert (again.dup, again.outcome) == (True, Outcome.DONE)
    assert talk.refused(SetMark(1, 8)).code is ErrorCode.CMD_ID_MISMATCH
    found = talk.granted(QueryCmd(1))
    assert (found.op, found.outcome) == (MARK, Outcome.DONE)


@pytest.mark.usefixtures("registered")
def test_a_vendors_command_survives_a_power_cut_in_the_ledger() -> None:
    talk = pump_with_marks()
    talk.granted(SetMark(1, 7))
    talk.pump.cut_power()
    talk.pump.restore_power()
    assert talk.granted(QueryCmd(1)).op == MARK


@pytest.mark.usefixtures("registered")
def test_a_vendors_command_is_refused_by_role_by_length_and_by_its_field() -> None:
    talk = pump_with_marks()
    error = talk.refused(SetMark(1, 0))
    assert (error.code, error.field_offset, error.nearest) == (ErrorCode.ENUM, 4, 1)
    assert talk.granted(QueryCmd(1)).outcome is Outcome.REFUSED
    assert pump_with_marks(Role.PATIENT).refused(SetMark(1, 7)).code is ErrorCode.ROLE


@pytest.mark.usefixtures("registered")
def test_only_a_pump_whose_profile_has_a_vendors_messages_knows_them_and_says_so_beforehand() -> None:
    with_marks, without = pump_with_marks(), Conversation.with_new_pump()
    for talk, caps in ((with_marks, Capability.VENDOR_MESSAGES), (without, Capability(0))):
        talk.granted(GetStatus())
        assert decode(PumpHello, talk.client._pump_hello).caps & Capability.VENDOR_MESSAGES == caps
    refused = without.refused(SetMark(1, 7))
    assert (refused.code, refused.detail) == (ErrorCode.UNSUPPORTED_OP, MARK)


def test_a_profile_whose_messages_are_not_registered_makes_no_pump() -> None:
    with pytest.raises(ValueError, match="the messages of marks are not registered"):
        pump_with_marks()


def test_messages_without_a_handler_each_make_no_pump() -> None:
    register_vendor(VENDOR._replace(name="without", handlers=dict))
    try:
        with pytest.raises(ValueError, match="of without and their handlers are not of the same opcodes"):
            Conversation.with_new_pump(replace(profile_of(), vendor_messages=("without",)))
    finally:
        _forget(SetMark, SetMarkReply)
        del registry.VENDORS["without"]


@pytest.mark.usefixtures("registered")
def test_what_is_registered_twice_is_left_and_what_collides_is_refused_with_both_names() -> None:
    register_vendor(VENDOR)
    with pytest.raises(ValueError, match=r"Ping \(0xC0\) cannot be registered beside .*SetMark \(0xC0\)"):
        register_vendor(VendorMessages("alone", (Command.of(MARK, Ping, "C"),), dict))
    with pytest.raises(ValueError, match=r"Ping \(0xEF\) cannot be registered beside .*Ping \(0x7E\)"):
        register_vendor(VendorMessages("alone", (Command.of(LAST, Ping, "C"),), dict))


@pytest.mark.usefixtures("registered")
def test_a_second_vendor_of_one_name_is_refused_and_of_messages_that_collide_none_is_added() -> None:
    with pytest.raises(ValueError, match="there are other messages of the name marks already"):
        register_vendor(VENDOR._replace(commands=()))
    collide = (Command.of(LAST, GetMark, "C"), Command.of(MARK, Ping, "C"))
    with pytest.raises(ValueError, match="cannot be registered beside"):
        register_vendor(VendorMessages("collide", collide, dict))
    assert registry.command_at(LAST) is None
    assert "collide" not in registry.VENDORS


def test_an_opcode_of_this_wire_is_no_vendors() -> None:
    for opcode in (Opcode.PING, Opcode.GET_STATUS):
        with pytest.raises(ValueError, match="is not a vendor's; theirs are 0xC0 to 0xEF"):
            register_vendor(VendorMessages("alone", (Command.of(opcode, SetMark, "C"),), dict))
    for number in (0xBF, 0xF0):
        with pytest.raises(ValueError, match="is not a valid Opcode"):
            Opcode(number)
