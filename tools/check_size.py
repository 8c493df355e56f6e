"""Size budget: function <= 50 code lines, nesting <= 4, <= 6 parameters; module <= 600 lines.

Code lines are lines that hold code: no blank lines, comments or docstrings, a text over several lines counts once,
lines of a nested function belong to it alone. `self` and `cls` are not parameters. Complexity (<= 10) is ruff's C901.
Exemptions stand in tools/exemptions.toml, each with its reason; one that is no longer needed is a finding too.
"""

from __future__ import annotations

import ast
import io
import tokenize
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.common import ROOT, finish, list_files, show

MAX_CODE_LINES = 50
MAX_NESTING = 4
MAX_PARAMETERS = 6
MAX_MODULE_LINES = 600

Function = ast.FunctionDef | ast.AsyncFunctionDef
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.TryStar, ast.Match)
NO_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}


@dataclass(frozen=True)
class Excess:
    place: str  # "src/x.py" or "src/x.py:Class.method", the key of an exemption
    line: int
    rule: str
    value: int
    limit: int

    def __str__(self) -> str:
        return f"{self.place.partition(':')[0]}:{self.line}: {self.place}: {self.rule} {self.value} > {self.limit}"


def find_code_lines(source: str, tree: ast.Module) -> set[int]:
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in NO_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)):
            lines.difference_update(range(node.lineno + 1, (node.end_lineno or node.lineno) + 1))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return lines


def measure_nesting(node: ast.AST, depth: int = 0) -> int:
    deepest = depth
    for child in ast.iter_child_nodes(node):
        if isinstance(child, SCOPES):
            continue
        is_elif = isinstance(node, ast.If) and isinstance(child, ast.If) and node.orelse == [child]
        inner = depth + 1 if isinstance(child, BLOCKS) and not is_elif else depth
        deepest = max(deepest, measure_nesting(child, inner))
    return deepest


def count_parameters(function: Function) -> int:
    arguments = function.args
    names = [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    extra = sum(1 for a in (arguments.vararg, arguments.kwarg) if a)
    return len(names) - (names[:1] in (["self"], ["cls"])) + extra


def count_code_lines(function: Function, code_lines: set[int]) -> int:
    own = {line for line in code_lines if function.lineno <= line <= (function.end_lineno or function.lineno)}
    for node in ast.walk(function):
        if node is not function and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            own.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(own)


def walk_functions(node: ast.AST, prefix: str = "") -> Iterator[tuple[str, Function]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + child.name, child
            yield from walk_functions(child, f"{prefix}{child.name}.")
        elif isinstance(child, ast.ClassDef):
            yield from walk_functions(child, f"{prefix}{child.name}.")
        else:
            yield from walk_functions(child, prefix)


def measure_module(path: Path) -> Iterator[Excess]:
    source = path.read_text()
    tree = ast.parse(source)
    name = show(path)
    length = source.count("\n")
    if length > MAX_MODULE_LINES:
        yield Excess(name, 1, "lines", length, MAX_MODULE_LINES)
    code_lines = find_code_lines(source, tree)
    for qualified, function in walk_functions(tree):
        figures = (
            ("code lines", count_code_lines(function, code_lines), MAX_CODE_LINES),
            ("nesting", measure_nesting(function), MAX_NESTING),
            ("parameters", count_parameters(function), MAX_PARAMETERS),
        )
        for rule, value, limit in figures:
            if value > limit:
                yield Excess(f"{name}:{qualified}", function.lineno, rule, value, limit)


def read_exemptions() -> dict[tuple[str, str], str]:
    """(place, rule) to reason."""
    table = tomllib.loads((ROOT / "tools" / "exemptions.toml").read_text())
    return {(entry["place"], entry["rule"]): entry["reason"] for entry in table.get("exemption", [])}


def check() -> Iterator[str]:
    exemptions = read_exemptions()
    used = set()
    for path in list_files("src/*.py", "tools/*.py", "bench/*.py", "tests/*.py"):
        for excess in measure_module(path):
            if exemptions.get((excess.place, excess.rule)):
                used.add((excess.place, excess.rule))
            else:
                yield str(excess)
    for place, rule in sorted(set(exemptions) - used):
        yield f"tools/exemptions.toml: {place} needs no exemption for {rule} (or gives no reason)"


if __name__ == "__main__":
    finish("size budget", check())
