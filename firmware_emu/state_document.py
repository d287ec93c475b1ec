"""A state as a document of JSON values, and back: how a pump is kept in a file, with its session and its bolus.

The same objects as a copy has (`state_copy`), by their slots and attributes, each once. What cannot be copied cannot be
written either. A document makes objects of our own classes, and of classes that inherit from them, and of nothing else;
it runs nothing. Whether a document was made by these classes tells the layout, a hash over all names of fields.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import sys
from collections import deque
from enum import Enum
from functools import cache
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

from firmware_emu.state_copy import OWN_PACKAGES, field_names, is_ours

if TYPE_CHECKING:
    from collections.abc import Callable

State = TypeVar("State")
Document = dict[str, Any]
_PLAIN: Final = frozenset({int, str, bool, float, type(None)})
_NOTHING: Final[Document] = {}
_OTHER_VERSION: Final = "was made by another version"
_DEPTH_MAX: Final = 200  # of tuples within tuples: more than any state has


class NotAState(ValueError):
    """A document that is no state of these classes; the sentence says where and why."""


def to_document(state: object) -> Document:
    """The whole state; TypeError where it holds a kind of object that nobody can copy."""
    writer = _Writer()
    root = writer.value(state)
    return {"layout": layout_of(writer.classes), "objects": writer.objects, "root": root}


def from_document(document: Document, kind: type[State]) -> State:
    """The state that a document holds, which must be of this class; NotAState where it holds none."""
    try:
        reader = _Reader(document["objects"])
        state = reader.value(document["root"])
        reader.fill()
        layout = layout_of(reader.classes)
    except NotAState:
        raise
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise NotAState(f"is put together wrong ({type(error).__name__}: {error})") from error
    if type(state) is not kind:
        raise NotAState(f"is one of {type(state).__qualname__}, and {kind.__qualname__} was wanted")
    if document.get("layout") != layout:
        raise NotAState(f"{_OTHER_VERSION}, whose pumps have other fields")
    return state


def layout_of(classes: set[type]) -> str:
    """A hash over the names of classes and of their fields: another one, and a state means something else."""
    return _layout_of(frozenset(classes))


@cache
def _layout_of(classes: frozenset[type]) -> str:
    rows = sorted(f"{_name_of(each)} {' '.join(names_in(each))}" for each in classes)
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


def names_in(kind: type) -> tuple[str, ...]:
    """By what the values of a class are read: the names of its fields in their order, of an enum with its values."""
    members: dict[str, Enum] = getattr(kind, "__members__", {})
    fields: tuple[str, ...] = getattr(kind, "_fields", getattr(kind, "__match_args__", ()))
    return (*(f"{name}={each.value!r}" for name, each in members.items()), *field_names(kind), *fields)


class _Writer:
    """Makes rows of objects, each once, and values that name them."""

    def __init__(self) -> None:
        self.objects: list[Document] = []
        self.classes: set[type] = set()
        self._known: dict[int, int] = {}
        self._alive: list[object] = []  # what has a number stays, or another object might get its address

    def value(self, held: Any) -> Any:
        kind: type = type(held)
        if kind in _PLAIN:
            return held
        if kind is bytes:
            return {"bytes": held.hex()}
        number = self._known.get(id(held))
        if number is None:
            number = self._known[id(held)] = len(self.objects)
            self._alive.append(held)
            row: Document = {}
            self.objects.append(row)
            row |= _writer_for(kind)(self, held)
        return {"object": number}

    def _object(self, held: Any) -> Document:
        kind: type = type(held)
        value = self.value
        self.classes.add(kind)
        fields = {}
        for name in field_names(kind):
            try:
                each = getattr(held, name)
            except AttributeError:  # never set
                continue
            fields[name] = each if type(each) in _PLAIN else value(each)
        for name, each in getattr(held, "__dict__", _NOTHING).items():
            fields[name] = each if type(each) in _PLAIN else value(each)
        return {"class": _name_of(kind), "fields": fields}

    def _tuple(self, held: tuple[Any, ...]) -> Document:
        row: Document = {"tuple": [self.value(each) for each in held]}
        if type(held) is not tuple:
            self.classes.add(type(held))
            row["class"] = _name_of(type(held))
        return row

    def _dict(self, held: dict[Any, Any]) -> Document:
        return {"dict": [[self.value(key), self.value(each)] for key, each in held.items()]}

    def _list(self, held: list[Any]) -> Document:
        return {"list": [self.value(each) for each in held]}

    def _set(self, held: set[Any]) -> Document:
        return {"set": [self.value(each) for each in held]}

    def _deque(self, held: deque[Any]) -> Document:
        return {"deque": [self.value(each) for each in held], "maxlen": held.maxlen}

    def _bytearray(self, held: bytearray) -> Document:
        return {"bytearray": held.hex()}

    def _range(self, held: range) -> Document:
        return {"range": [held.start, held.stop, held.step]}

    def _enum(self, held: Enum) -> Document:
        self.classes.add(type(held))
        return {"enum": _name_of(type(held)), "value": self.value(held.value)}

    def _type(self, held: type) -> Document:
        return {"type": _name_of(held)}

    def _method(self, held: MethodType) -> Document:
        return {"method": held.__name__, "of": self.value(held.__self__)}

    def _function(self, held: FunctionType) -> Document:
        if held.__closure__ or "<" in held.__qualname__:
            raise TypeError(f"the function {held.__qualname__} has no name by which it could be found again")
        return {"function": f"{held.__module__}:{held.__qualname__}"}

    _WRITERS: ClassVar[dict[type, Callable[[_Writer, Any], Document]]] = {
        Enum: _enum,
        tuple: _tuple,
        dict: _dict,
        list: _list,
        set: _set,
        deque: _deque,
        bytearray: _bytearray,
        range: _range,
        type: _type,
        MethodType: _method,
        FunctionType: _function,
    }


@cache
def _writer_for(kind: type) -> Callable[[_Writer, Any], Document]:
    """What makes rows of objects of a class; TypeError where nobody knows."""
    for known, write in _Writer._WRITERS.items():  # noqa: SLF001 - of this module
        if issubclass(kind, known):
            return write
    if not is_ours(kind):
        raise TypeError(f"nobody has said how to write a {_name_of(kind)}")
    return _Writer._object  # noqa: SLF001 - of this module


class _Reader:
    """Makes objects of rows. What can change is made empty first and filled last, so that it may hold itself."""

    def __init__(self, rows: list[Document]) -> None:
        self._rows = rows
        self.classes: set[type] = set()
        self._made: dict[int, Any] = {}
        self._depth = 0
        self._to_fill: list[tuple[Any, Document]] = []

    def value(self, held: Any) -> Any:
        if type(held) in _PLAIN:
            return held
        ((kind, content),) = held.items()
        if kind == "bytes":
            return bytes.fromhex(content)
        if kind != "object" or type(content) is not int or content < 0:
            raise NotAState(f"has a value that is none: {json.dumps(held)[:80]}")
        if content not in self._made:
            self._depth += 1
            if self._depth > _DEPTH_MAX:
                raise NotAState("has a value that holds itself")
            self._made[content] = self._make(self._rows[content])
            self._depth -= 1
        return self._made[content]

    def fill(self) -> None:
        """Give what was made empty what it holds."""
        for made, row in self._to_fill_one_by_one():
            if "fields" in row:
                self._fill_object(made, row["fields"])
            elif "dict" in row:
                made.update((self.value(key), self.value(each)) for key, each in row["dict"])
            elif "set" in row:
                made.update(map(self.value, row["set"]))
            else:
                made.extend(map(self.value, row.get("list", row.get("deque"))))

    def _to_fill_one_by_one(self) -> Any:
        while self._to_fill:  # what fills one may make others
            yield self._to_fill.pop()

    def _make(self, row: Document) -> Any:
        kind = next(name for name in row if name in self._MAKERS)
        return self._MAKERS[kind](self, row)

    def _later(self, made: Any, row: Document) -> Any:
        self._to_fill.append((made, row))
        return made

    def _object(self, row: Document) -> Any:
        kind = self._class(row["class"])
        return self._later(object.__new__(kind), row)

    def _empty(self, row: Document) -> Any:
        if "deque" in row:
            return self._later(deque(maxlen=row["maxlen"]), row)
        return self._later({} if "dict" in row else [] if "list" in row else set(), row)

    def _fill_object(self, made: Any, fields: Document) -> None:
        kind: type = type(made)
        known = field_names(kind)
        has_dict = hasattr(made, "__dict__")
        for name, held in fields.items():
            if name in known:
                object.__setattr__(made, name, self.value(held))
            elif has_dict and name.isidentifier() and not name.startswith("__"):
                made.__dict__[name] = self.value(held)
            else:
                raise NotAState(
                    f"{_OTHER_VERSION}: it has a field that a {kind.__qualname__} has not: {name}"
                )

    def _tuple(self, row: Document) -> Any:
        held = [self.value(each) for each in row["tuple"]]
        if "class" not in row:
            return tuple(held)
        kind = self._class(row["class"])
        if not issubclass(kind, tuple) or len(held) != len(getattr(kind, "_fields", ())):
            raise NotAState(f"has a {row['class']} of {len(held)} values")
        return tuple.__new__(kind, held)

    def _enum(self, row: Document) -> Any:
        kind = self._found(row["enum"])
        if not issubclass(kind, Enum):
            raise NotAState(f"takes {row['enum']} for an enum")
        self.classes.add(kind)
        return kind(self.value(row["value"]))

    def _type(self, row: Document) -> type:
        return self._found(row["type"])

    def _method(self, row: Document) -> Any:
        owner = self.value(row["of"])
        function = getattr(type(owner), row["method"], None)
        if not isinstance(function, FunctionType) or not is_ours(type(owner)):
            kind = type(owner).__qualname__
            raise NotAState(f"{_OTHER_VERSION}: it has a method that a {kind} has not: {row['method']}")
        return MethodType(function, owner)

    def _function(self, row: Document) -> Any:
        name = row["function"]
        function = _looked_up(name) if _is_in_our_packages(name.partition(":")[0]) else None
        if not isinstance(function, FunctionType):
            raise NotAState(f"has a function that is not ours: {name}")
        return function

    def _class(self, name: str) -> type:
        kind = self._found(name)
        self.classes.add(kind)
        return kind

    def _found(self, name: str) -> type:
        kind = _looked_up(name)
        if not isinstance(kind, type) or not is_ours(kind):
            raise NotAState(f"has an object of a class that is not ours: {name}")
        return kind

    _MAKERS: ClassVar[dict[str, Callable[[_Reader, Document], Any]]] = {
        "fields": _object,
        "tuple": _tuple,
        "enum": _enum,
        "type": _type,
        "method": _method,
        "function": _function,
        "dict": _empty,
        "list": _empty,
        "set": _empty,
        "deque": _empty,
        "bytearray": lambda _reader, row: bytearray.fromhex(row["bytearray"]),
        "range": lambda _reader, row: range(*row["range"]),
    }


@cache
def _name_of(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


def _is_in_our_packages(module_name: str) -> bool:
    return module_name.partition(".")[0] in OWN_PACKAGES


def _looked_up(name: str) -> Any:
    """What stands under this name in a module of ours, or in one that is imported already; NotAState for nothing."""
    module_name, _, path = name.partition(":")
    module = sys.modules.get(module_name)
    try:
        if module is None and _is_in_our_packages(module_name):
            module = importlib.import_module(module_name)
        found: Any = module
        for part in path.split("."):
            found = getattr(found, part)
    except (ModuleNotFoundError, AttributeError) as error:
        if not _is_in_our_packages(module_name):
            raise
        raise NotAState(f"{_OTHER_VERSION}: this one has no {name}") from error
    return found
