"""The codec of a message, derived from its declared layout at first use; every frame passes here.

A layout becomes one `struct` format and two generated expressions that mirror its tree: a pattern that takes
a message apart, and a constructor call that puts one together. Nothing is checked twice: a short payload
fails in `struct`, an unknown value in the look-up that translates it, and only then `diagnostics` finds the
field. construct's own `.compile()` is not used: it accepts truncated input.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import construct

from protocol.codec.atoms import Count, Mapped, Octets, Record, Reserved, Rows, atom
from protocol.codec.diagnostics import first_fault, first_unencodable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class _Writer:
    """Walks a layout once and collects the format, the names of its values, and both expressions."""

    def __init__(self) -> None:
        self.format = "<"
        self.build_format = "<"  # the same, but reserved bytes are struct's own padding
        self.values: list[str] = []  # one name for each value that struct yields
        self.packed: list[str] = []  # one expression for each value that struct is given
        self.on_parse: list[str] = []  # conditions that a good payload fulfils
        self.on_build: list[str] = []  # conditions that a good message fulfils
        self.bound: dict[str, Any] = {}  # objects that the expressions name
        self.counts: dict[str, tuple[str, Count]] = {}  # by name of the count
        self.tails: list[tuple[str, Any]] = []  # name and layout of what follows the fixed part

    def bind(self, thing: Any) -> str:
        name = f"k{len(self.bound)}"
        self.bound[name] = thing
        return name

    def value(self, code: str, packed: str | None = None) -> str:
        name = self.read(code)
        self.build_format += code
        self.packed.append(packed or name)
        return name

    def read(self, code: str) -> str:
        name = f"v{len(self.values)}"
        self.format += code
        self.values.append(name)
        return name

    def record(self, record: Record) -> tuple[str, str]:
        """Pattern and constructor call of one record."""
        pairs = [self.field(name, layout) for name, layout in record.parts if not self.silent(name, layout)]
        cls = self.bind(record.cls)
        return _listed(p for p, _ in pairs), f"new({cls}, {_listed(c for _, c in pairs)})"

    def silent(self, name: str, layout: Any) -> bool:
        """Whether a field is on the wire only; if so, it is dealt with here."""
        if isinstance(layout, Reserved):
            zeros = repr(bytes(layout.length))
            self.on_parse.append(f"{self.read(f'{layout.length}s')} == {zeros}")
            self.build_format += f"{layout.length}x"
            return True
        if isinstance(layout, Count):
            self.counts[name] = (self.value("B", f"len(t_{layout.of})"), layout)
            return True
        return False

    def field(self, name: str, layout: Any) -> tuple[str, str]:
        """Pattern and expression of one field."""
        match layout:
            case Mapped():
                value = self.value(struct_code(layout.subcon))
                self.packed[-1] = f"{self.bind(layout.wire_of)}[{value}]"
                return value, f"{self.bind(layout.value_of)}[{value}]"
            case Rows(count=int(number)):
                pairs = [self.field(name, atom(layout.row)) for _ in range(number)]
                return _listed(p for p, _ in pairs), _listed(c for _, c in pairs)
            case Rows() | Octets():
                self.tails.append((f"t_{name}", layout))
                return f"t_{name}", f"t_{name}"
            case Record():
                return self.record(layout)
        value = self.value(struct_code(layout))
        if isinstance(layout, construct.Bytes):
            self.on_build.append(f"len({value}) == {layout.length}")
        return value, value


def _listed(expressions: Iterable[str]) -> str:
    """A tuple of expressions, also where there is one or none."""
    return f"({''.join(expression + ', ' for expression in expressions)})"


class Codec:
    """Both directions of one message class; `size` is the fixed part, `tails` is empty for a fixed layout."""

    __slots__ = ("_writer", "build", "parse", "size", "unpack_rows")

    def __init__(self, record: Record) -> None:
        writer = _Writer()
        pattern, call = writer.record(record)
        fixed = struct.Struct(writer.format)
        self.size = fixed.size
        self._writer = writer
        writer.bound |= {
            "new": tuple.__new__,
            "unpack": fixed.unpack if not writer.tails else fixed.unpack_from,
            "pack": struct.Struct(writer.build_format).pack,
            "error": struct.error,
            "fault_of_payload": lambda payload: first_fault(record, payload),
            "fault_of_message": lambda message: first_unencodable(record, message),
        }
        functions = _generate(writer, pattern, call, fixed.size)
        self.parse: Callable[[bytes], Any] = functions["parse"]
        self.build: Callable[[Any], bytes] = functions["build"]
        self.unpack_rows: Callable[[bytes], Any] = functions["rows"]

    def without_tail(self, payload: bytes) -> bytes:
        """The message at the start of a payload that a later version may have made longer."""
        size = self.size
        if self._writer.tails and len(payload) >= size:
            fixed = struct.unpack_from(self._writer.format, payload)
            number_of = dict(zip(self._writer.values, fixed, strict=True))
            for _, layout in self._writer.tails:
                size += number_of[self._writer.counts[layout.count][0]] * layout.row.sizeof()
        return payload if len(payload) <= size else payload[:size]


def _generate(writer: _Writer, pattern: str, call: str, size: int) -> dict[str, Any]:
    """Source of `parse`, `build` and `rows`, made from layouts alone; nothing from the wire enters it."""
    values = "".join(f"{name}, " for name in writer.values)
    whole, read_tails, written_tails = str(size), [], ""
    for name, layout in writer.tails:
        count, declared = writer.counts[layout.count]
        read, write = writer.bind(_tail_reader(layout)), writer.bind(_tail_writer(layout))
        end = f"{whole} + {count} * {layout.row.sizeof()}"
        read_tails.append(f"        {name} = {read}(payload[{whole}:{end}])")
        written_tails += f" + {write}({name})"
        writer.on_parse.append(f"{count} <= {declared.maximum}")
        writer.on_build.append(f"len({name}) <= {declared.maximum}")
        whole = end
    if writer.tails:
        writer.on_parse.append(f"len(payload) == {whole}")
    lines = [
        "def parse(payload):",
        "    try:",
        f"        {values}{'= ' if values else ''}unpack(payload)",
        *_unless(writer.on_parse),
        *read_tails,
        f"        return {call}",
        "    except (error, KeyError, ValueError):",
        "        raise fault_of_payload(payload) from None",
        "def build(message):",
        "    try:",
        f"        {pattern} = message[:]",
        *_unless(writer.on_build),
        f"        return pack({', '.join(writer.packed)}){written_tails}",
        "    except (error, KeyError, ValueError, TypeError):",
        "        raise fault_of_message(message) from None",
        *_rows_source(writer, values, call),
    ]
    exec("\n".join(lines), writer.bound)  # noqa: S102 (as dataclasses and namedtuple do)
    return writer.bound


def _unless(conditions: list[str]) -> list[str]:
    return [f"        if not ({' and '.join(conditions)}): raise ValueError"] if conditions else []


def _rows_source(writer: _Writer, values: str, call: str) -> list[str]:
    """Source of `rows`: many records of fixed size, one after another."""
    if writer.tails or not writer.values:
        return ["rows = None"]
    writer.bound["iter_unpack"] = struct.Struct(writer.format).iter_unpack
    lines = ["def rows(payload):", "    found = []", f"    for {values} in iter_unpack(payload):"]
    return [*lines, *_unless(writer.on_parse), f"        found.append({call})", "    return tuple(found)"]


def struct_code(layout: Any) -> str:
    """The struct code of an integer, little endian, or of bytes."""
    if isinstance(layout, construct.Bytes):
        return f"{layout.length}s"
    if not isinstance(layout, construct.FormatField) or (layout.fmtstr[0] == ">" and layout.length > 1):
        raise TypeError(f"no way to derive {layout!r}")
    return str(layout.fmtstr[1:])


def _tail_reader(layout: Any) -> Callable[[bytes], Any]:
    """From the bytes of a tail to its value."""
    if isinstance(layout, Octets):
        return bytes
    row = atom(layout.row)
    if isinstance(row, Record):
        return Codec(row).unpack_rows
    size = row.sizeof()
    if isinstance(row, construct.Bytes):
        return lambda data: tuple([data[i : i + size] for i in range(0, len(data), size)])
    each = struct.Struct("<" + struct_code(row))
    return lambda data: tuple([number for (number,) in each.iter_unpack(data)])


def _tail_writer(layout: Any) -> Callable[[Any], bytes]:
    """From the value of a tail to its bytes."""
    if isinstance(layout, Octets):
        return bytes
    row = atom(layout.row)
    if isinstance(row, Record):
        build = Codec(row).build
        return lambda rows: b"".join([build(row) for row in rows])
    if isinstance(row, construct.Bytes):
        return _joiner(row.sizeof())
    code = struct_code(row)
    return lambda rows: struct.pack(f"<{len(rows)}{code}", *rows)


def _joiner(size: int) -> Callable[[Any], bytes]:
    def join(rows: Any) -> bytes:
        if any(len(row) != size for row in rows):
            raise ValueError
        return b"".join(rows)

    return join
