"""Rules about source code that no off-the-shelf linter knows. Each returns what it found as `line: what`.

Pure packages compute consensus: two nodes must get the same bytes, so nothing there may depend on rounding or on the
order in which a set happens to iterate (bytes hash differently in every process). The other rules keep modules small and
errors narrow everywhere.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_FUNCTION_STATEMENTS = 40
INEXACT_MODULES = ("math", "cmath", "decimal", "statistics")

_SETS = ("set", "frozenset")
_SET_METHODS = ("union", "intersection", "difference", "symmetric_difference", "copy")
_ORDER_MATTERS = (
    "list",
    "tuple",
    "iter",
    "enumerate",
    "zip",
    "map",
    "filter",
    "reversed",
    "fromkeys",
    "join",
    "extend",
)
_LEFT_OVER = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")


def inexact_numbers(source: str) -> list[str]:
    """Find float literals, the name `float`, true division, and imports of modules that round."""
    found = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Constant(value=float() | complex()):
                found.append(f"{node.lineno}: {node.value!r} is a float")
            case ast.Name(id="float" | "complex"):
                found.append(f"{node.lineno}: {node.id}")
            case ast.BinOp(op=ast.Div(), right=ast.Constant(value=str()) | ast.JoinedStr()):
                pass  # joins a path; a number over a text raises
            case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
                found.append(f"{node.lineno}: true division; use // and state the rounding")
            case ast.Import(names=names) if any(_top(alias.name) in INEXACT_MODULES for alias in names):
                found.append(f"{node.lineno}: import of {', '.join(alias.name for alias in names)}")
            case ast.ImportFrom(module=str() as module, level=0) if _top(module) in INEXACT_MODULES:
                found.append(f"{node.lineno}: import from {module}")
    return found


def set_iterations(source: str) -> list[str]:
    """Find where the iteration order of a set can reach a result: loops, comprehensions, list(), join(), pop()."""
    tree = ast.parse(source)
    names = _names_of_sets(tree)
    into_sets = {
        id(generator) for node in ast.walk(tree) if isinstance(node, ast.SetComp) for generator in node.generators
    }
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.For(iter=iterable) | ast.AsyncFor(iter=iterable) | ast.Starred(value=iterable):
                suspects = [iterable]
            case ast.comprehension(iter=iterable) if id(node) not in into_sets:
                suspects = [iterable]
            case ast.Call(func=ast.Name(id=called) | ast.Attribute(attr=called)) if called in _ORDER_MATTERS:
                suspects = node.args
            case ast.Call(func=ast.Attribute(value=owner, attr="pop"), args=[]):
                suspects = [owner]
            case _:
                continue
        found += [f"{suspect.lineno}: order of a set" for suspect in suspects if _is_set(suspect, names)]
    return found


def _names_of_sets(tree: ast.AST) -> frozenset[str]:
    """Return variable and attribute names that are a set somewhere in the module."""
    names: dict[str, None] = {}
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=targets, value=value) if _is_set(value, frozenset(names)):
                names |= dict.fromkeys(name for target in targets if (name := _name(target)))
            case ast.AnnAssign(target=target, annotation=annotation) if _is_set_type(annotation):
                names[_name(target)] = None
            case ast.arg(arg=name, annotation=ast.expr() as annotation) if _is_set_type(annotation):
                names[name] = None
    return frozenset(names)


def _is_set(node: ast.expr, names: frozenset[str]) -> bool:
    match node:
        case ast.Set() | ast.SetComp():
            return True
        case ast.Call(func=ast.Name(id=called)):
            return called in _SETS
        case ast.Call(func=ast.Attribute(value=owner, attr=method)):
            return method in _SET_METHODS and _is_set(owner, names)
        case ast.BinOp(left=left, right=right, op=ast.BitOr() | ast.BitAnd() | ast.Sub() | ast.BitXor()):
            return _is_set(left, names) or _is_set(right, names)
        case ast.Name() | ast.Attribute():
            return _name(node) in names
    return False


def _is_set_type(annotation: ast.expr) -> bool:
    text = ast.unparse(annotation).strip("'\"")
    return re.match(r"(typing\.)?(set|frozenset|Set|FrozenSet|AbstractSet|MutableSet)\b", text) is not None


def _name(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def _top(module: str) -> str:
    return module.partition(".")[0]


def missing_story(source: str) -> list[str]:
    """A module opens with its docstring."""
    return [] if ast.get_docstring(ast.parse(source)) else ["1: no module docstring"]


def long_file(source: str) -> list[str]:
    """A file has at most `MAX_FILE_LINES` lines."""
    lines = len(source.splitlines())
    return [f"{lines}: {lines} lines, at most {MAX_FILE_LINES}"] if lines > MAX_FILE_LINES else []


def long_functions(source: str) -> list[str]:
    """A function has at most `MAX_FUNCTION_LINES` lines and `MAX_FUNCTION_STATEMENTS` statements."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            statements = sum(isinstance(inner, ast.stmt) for inner in ast.walk(node)) - 1
            if lines > MAX_FUNCTION_LINES or statements > MAX_FUNCTION_STATEMENTS:
                found.append(f"{node.lineno}: {node.name} has {lines} lines, {statements} statements")
    return found


def asserts(source: str) -> list[str]:
    """`python -O` removes `assert`, so it checks nothing outside tests."""
    return [f"{node.lineno}: assert" for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Assert)]


def broad_handlers(source: str) -> list[str]:
    """Find handlers that would swallow bugs: bare `except`, `except Exception`, `suppress(Exception)`."""
    found = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.ExceptHandler(type=None):
                found.append(f"{node.lineno}: bare except")
            case ast.ExceptHandler(type=ast.expr() as caught) if _is_broad(caught):
                found.append(f"{node.lineno}: except {ast.unparse(caught)}")
            case ast.Call(func=ast.Name(id="suppress") | ast.Attribute(attr="suppress"), args=arguments):
                found += [f"{node.lineno}: suppress({ast.unparse(a)})" for a in arguments if _is_broad(a)]
    return found


def _is_broad(caught: ast.expr) -> bool:
    kinds = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any(_name(kind) in ("Exception", "BaseException") for kind in kinds)


def left_overs(source: str) -> list[str]:
    """Open work belongs into an issue, not into a comment or docstring."""
    return [f"{line}: {match.group()}" for line, text in _prose(source) if (match := _LEFT_OVER.search(text))]


def _prose(source: str) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT or (token.type == tokenize.STRING and token.string.endswith('"""')):
            yield token.start[0], token.string
