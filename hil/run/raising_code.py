"""Whose code raised an error, and whether the statement that failed is about what came from the pump. No pytest here.

Both are read from the traceback: whose module each frame is of, and, in the test's own frame, where the names that the
statement mentions got their values from. What a name holds is asked for its type alone.
"""

from __future__ import annotations

import ast
import inspect
import linecache
import re
import sysconfig
from contextlib import suppress
from enum import Enum, StrEnum
from itertools import pairwise, zip_longest
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType, TracebackType


class Code(StrEnum):
    """Whose code it is, in words."""

    TEST = "the test's own code"
    HARNESS = "code of pumpbench"
    INSTRUMENT = "code of an instrument"
    DEVICE = "code of the emulated pump"
    ELSEWHERE = "code of somebody else"


ROOMS: Final = (
    ("hil.suite", Code.TEST),
    ("hil.instruments", Code.INSTRUMENT),
    ("hil", Code.HARNESS),
    ("firmware_emu.bench", Code.HARNESS),
    ("firmware_emu", Code.DEVICE),
)
"""Whose code the modules of a package are, the innermost package first."""
NEUTRAL: Final = ("protocol", "_pytest", "pytest", "pluggy", "pytest_timeout", "xdist")
"""Packages that work for whoever calls them."""
LIBRARIES: Final = tuple(
    {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
)
TIMEOUT_MODULE: Final = "pytest_timeout"
OF_DEVICE: Final = (
    "hil.bench_of_test",
    "hil.channel",
    "hil.errors",
    "hil.instruments",
    "hil.noise",
    "hil.programmer",
    "hil.rig",
    "hil.rig_client",
    "hil.targets",
    "hil.watched_rig",
    "hil.wire_log",
    "protocol.log",
)
"""Packages whose objects are what one has of the pump and its bench, or what these said."""
ANSWERS: Final = ("Reply", "Hint")
"""How names of the messages end that come from the pump."""


CANNOT_BE_CALLED_SO: Final = re.compile(
    r"[\w.<>]+\(\) (missing \d+ required|takes .*positional argument|got (an unexpected|multiple|some positional))"
)
"""What Python says of a call with an argument too many or too few, where the call stands."""
HANDS_ON: Final = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS
"""Of a function that takes whatever it is given."""

COMPREHENSIONS: Final = frozenset({"<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"})


def _frames(traceback: TracebackType | None) -> list[tuple[FrameType, int]]:
    """Each frame of a traceback and its line, the innermost first."""
    frames = []
    while traceback is not None:
        frames.append((traceback.tb_frame, traceback.tb_lineno))
        traceback = traceback.tb_next
    return frames[::-1]


def _module_of(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _is_of(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def _code_of(frame: FrameType) -> Code | None:
    """Whose code a frame runs; None of what works for its caller, and of a hook that an error passes through."""
    module = _module_of(frame)
    for package, code in ROOMS:
        if _is_of(module, package):
            passes = code is Code.HARNESS and frame.f_code.co_name.startswith("pytest_")
            return None if passes else code
    if any(_is_of(module, package) for package in NEUTRAL):
        return None
    if frame.f_code.co_filename.startswith((*LIBRARIES, "<")):
        return None
    return Code.TEST


def raised_in(error: BaseException | None) -> Code:
    """Whose code raised an error: of the innermost frame that is anybody's in particular."""
    if error is None:
        return Code.TEST
    frames = _frames(error.__traceback__)
    if isinstance(error, TypeError) and CANNOT_BE_CALLED_SO.match(str(error)):
        while (
            len(frames) > 1 and frames[0][0].f_code.co_flags & HANDS_ON
        ):  # who called it said what it handed on
            frames.pop(0)
    codes = (_code_of(frame) for frame, _line in frames)
    return next((code for code in codes if code is not None), Code.ELSEWHERE)


def went_through_test(error: BaseException | None) -> bool:
    """Whether code of the test, or of its fixtures, was under way."""
    frames = [] if error is None else _frames(error.__traceback__)
    return any(_code_of(frame) is Code.TEST for frame, _line in frames)


def ran_out_of_time(error: BaseException | None) -> bool:
    """Whether pytest-timeout raised it, wherever the test was by then."""
    frames = [] if error is None else _frames(error.__traceback__)
    return any(_module_of(frame) == TIMEOUT_MODULE for frame, _line in frames)


def concern_of(error: BaseException | None, device_names: frozenset[str] = frozenset()) -> str:
    """The statement of the test that failed, where something in it came from the pump; "" elsewhere.

    `device_names` are names of the test function's arguments that fixtures have made of the pump or its bench.
    """
    frames = [] if error is None else _frames(error.__traceback__)
    ours = [(frame, line) for frame, line in frames if _code_of(frame) is Code.TEST]
    asked: frozenset[str] | None = None
    callee: tuple[str, tuple[str, ...]] = ("", ())
    for depth, (frame, _line) in enumerate(ours):
        place = _place_of(ours[depth:], device_names)
        if place is None:
            return ""
        parts = place.parts if asked is None else _handed_on(place.failed, *callee, asked)
        concerned = [part for part in parts if _names(part) & place.known]
        if concerned:
            return ast.unparse(place.failed if asked is not None else concerned[0])
        if asked is None and frame.f_code.co_name in COMPREHENSIONS:
            continue  # the statement stands in the function around it
        asked = place.parameters & _reached_back(place.scope, set().union(*map(_names, parts)))
        callee = (frame.f_code.co_name, place.signature)
        if not asked:
            return ""
    return ""


class _Place(NamedTuple):
    """The statement that a frame of the test stands at, and what of its names came from the pump."""

    failed: ast.stmt
    parts: list[ast.AST]
    scope: ast.AST
    known: set[str]
    signature: tuple[str, ...]

    @property
    def parameters(self) -> frozenset[str]:
        """What the function of the frame was given, by name."""
        return frozenset(self.signature)


def _place_of(ours: list[tuple[FrameType, int]], device_names: frozenset[str]) -> _Place | None:
    """Where the first of these frames stands; None where its source is not there, or not what was run."""
    frame, line = ours[0]
    seen = [frame]
    for (inner, _line), (outer, _) in pairwise(ours):  # what a comprehension does not see is seen around it
        if not inner.f_code.co_name.startswith("<"):
            break
        seen.append(outer)
    source = "".join(linecache.getlines(frame.f_code.co_filename, frame.f_globals))
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return None
    statements = list(_path_to(tree, line))
    if not statements:
        return None
    functions = [node for node in statements if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    if seen[-1].f_code.co_name not in {"<module>", "<lambda>", *(node.name for node in functions[-1:])}:
        return None  # the file is not any more what was run
    scope: ast.AST = functions[-1] if functions else tree
    known = {name for name in _names(scope) if any(_holds_device(each, name) for each in seen)}
    if functions[-1:] == functions[:1]:  # not in a function of a function, whose names are others
        known |= device_names & {each.arg for node in functions for each in node.args.args}
    failed = statements[-1]
    signature = [each.arg for node in functions[-1:] for each in _arguments(node)]
    parts = list(_deciding(failed, statements[:-1]))
    return _Place(failed, parts, scope, _derived(scope, known), tuple(signature))


def _arguments(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.arg]:
    """What it takes by name, in order; those that take all the rest are the last."""
    said = function.args
    rest = [each for each in (said.vararg, said.kwarg) if each is not None]
    return [*said.posonlyargs, *said.args, *said.kwonlyargs, *rest]


def _handed_on(
    statement: ast.stmt, name: str, signature: tuple[str, ...], asked: frozenset[str]
) -> list[ast.AST]:
    """What a statement hands to these parameters of the function of that name that it calls."""
    given: list[ast.AST] = []
    for call in ast.walk(statement):
        if not isinstance(call, ast.Call):
            continue
        match call.func:
            case ast.Name(id=called):
                own = 0
            case ast.Attribute(attr=called):
                own = int(signature[:1] in {("self",), ("cls",)})
            case _:
                continue
        if called == name:
            given += [
                each
                for parameter, each in zip_longest(signature[own:], call.args)
                if isinstance(each, ast.Starred) or (each is not None and parameter in asked | {None})
            ]
            given += [each.value for each in call.keywords if each.arg is None or each.arg in asked]
    return given


def _reached_back(scope: ast.AST, names: set[str]) -> set[str]:
    """These names and all that they got a value of in a function, in whatever order."""
    flows = [flow for node in ast.walk(scope) for flow in _flows(node)]
    while more := {name for targets, source in flows if targets & names for name in source} - names:
        names = names | more
    return names


def _path_to(node: ast.AST, line: int) -> Iterator[ast.stmt]:
    """The statements around a line, the outermost first; of several on one line, those around the first."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt) and child.lineno <= line <= (child.end_lineno or child.lineno):
            yield child
            yield from _path_to(child, line)
            return
        if isinstance(child, ast.ExceptHandler | ast.match_case):
            inner = list(_path_to(child, line))
            yield from inner
            if inner:
                return


def _deciding(failed: ast.stmt, around: list[ast.stmt]) -> Iterator[ast.AST]:
    """What a failure hangs on: the condition of an assert, else the statement and the conditions around it."""
    match failed:
        case ast.Assert(test=condition):
            yield condition
            return
        case ast.If(test=condition) | ast.While(test=condition):
            yield condition
        case ast.For(iter=source):
            yield source
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return
        case _:
            yield failed
    for each in reversed(around):
        if isinstance(each, ast.If | ast.While):
            yield each.test
        elif isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
            return


def _names(node: ast.AST) -> set[str]:
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}


def _derived(scope: ast.AST, known: set[str]) -> set[str]:
    """These names and all that get a value of them in a function, in whatever order."""
    flows = [flow for node in ast.walk(scope) for flow in _flows(node)]
    while more := {name for targets, source in flows if source & known for name in targets} - known:
        known = known | more
    return known


def _flows(node: ast.AST) -> Iterator[tuple[set[str], set[str]]]:
    """Names that a node gives a value, and the names that it is made of."""
    match node:
        case ast.Assign(targets=targets, value=value):
            for target in targets:
                yield from _assigned(target, value)
        case (
            ast.AnnAssign(target=target, value=ast.expr() as value)
            | ast.AugAssign(target=target, value=value)
        ):
            yield _names(target), _names(value)
        case ast.NamedExpr(target=target, value=value):
            yield _names(target), _names(value)
        case ast.For(target=target, iter=source) | ast.comprehension(target=target, iter=source):
            yield _names(target), _names(source)
        case ast.With(items=items, body=body):
            inside = set().union(*map(_names, body))
            for item in items:
                if item.optional_vars is not None:
                    caught = inside if "raises" in ast.unparse(item.context_expr) else set()
                    yield _names(item.optional_vars), _names(item.context_expr) | caught
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=holder)), args=arguments)):
            yield {holder}, set().union(*map(_names, arguments))


def _assigned(target: ast.expr, value: ast.expr) -> Iterator[tuple[set[str], set[str]]]:
    """What an assignment gives: each name of a tuple its own value, where both sides are written out."""
    match target, value:
        case (
            ast.Tuple(elts=targets) | ast.List(elts=targets),
            ast.Tuple(elts=values) | ast.List(elts=values),
        ) if len(targets) == len(values) and not any(
            isinstance(each, ast.Starred) for each in (*targets, *values)
        ):
            for each in zip(targets, values, strict=True):
                yield from _assigned(*each)
        case _:
            yield _names(target), _names(value)


def _holds_device(frame: FrameType, name: str) -> bool:
    """Whether a name holds the pump, what talks to it, its bench, or what it said."""
    missing = object()
    value = frame.f_locals.get(name, frame.f_globals.get(name, missing))
    return value is not missing and _is_of_device(value)


def _is_of_device(value: object, depth: int = 1) -> bool:
    """By the types of it and of what it holds: a property of somebody's object might do anything."""
    kind = type(value)
    if isinstance(value, type | Enum):
        return False
    if any(_is_of(kind.__module__, package) for package in OF_DEVICE):
        return True
    if _is_of(kind.__module__, "protocol.messages") and kind.__name__.endswith(ANSWERS):
        return True
    return depth > 0 and any(_is_of_device(each, depth - 1) for each in _held_by(value))


def _held_by(value: object) -> list[object]:
    """What an object holds: the object of a method, what a function closes over, what pytest.raises has caught."""
    if isinstance(value, MethodType):
        return [value.__self__]
    if isinstance(value, FunctionType):
        held: list[object] = []
        for cell in value.__closure__ or ():
            with suppress(ValueError):  # it has no value yet
                held.append(cell.cell_contents)
        return held
    if type(value).__name__ == "ExceptionInfo":
        return [getattr(value, "value", None)]
    return (
        list(vars(value).values())
        if type(value).__module__ != "builtins" and hasattr(value, "__dict__")
        else []
    )
