"""Refuse vague names and private words: python scripts/check_names.py [ROOT].

The banned words are in pyproject.toml under [tool.lifecycle.names], each with what to use
instead. A word counts as a whole identifier and as one part of a snake_case or CamelCase one.
Only definitions are checked (assignments, arguments, functions, classes, files), because the
names of a library are not ours to choose. Prints file:line name: advice; exits with 1 on any.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

PLACES = ("features", "serving", "training", "lifecycle", "benchmarks", "scripts")
SINGLE_FILES = ("docs/generate.py",)


def words_of(name: str) -> list[str]:
    """The lower-case parts of a snake_case or CamelCase identifier."""
    return [part.lower() for part in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name)]


def defined_names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of everything that the module itself names."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield node.lineno, name
            case ast.arg(arg=name) | ast.alias(asname=str(name)):
                yield node.lineno, name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield node.lineno, name
            case ast.ClassDef(name=name) | ast.ExceptHandler(name=str(name)):
                yield node.lineno, name
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield node.lineno, name


def advice_for(name: str, banned: dict[str, str], allowed: list[str]) -> str | None:
    """What to use instead of the first banned word in the name; None where there is none."""
    rest = "_".join(words_of(name))
    for phrase in allowed:
        rest = re.sub(rf"(^|_){'_'.join(words_of(phrase))}(?=_|$)", r"\1", rest)
    return next((banned[word] for word in rest.split("_") if word in banned), None)


def check(root: Path) -> list[str]:
    """One line per refused name below the root."""
    rules = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["lifecycle"]["names"]
    files = [path for place in PLACES for path in sorted((root / place).rglob("*.py"))]
    files += [root / name for name in SINGLE_FILES if (root / name).is_file()]
    refused: set[tuple[str, int, str]] = set()
    for path in files:
        place = path.relative_to(root)
        names = [(0, part) for part in place.with_suffix("").parts]
        for line, name in [*names, *defined_names(ast.parse(path.read_text()))]:
            advice = advice_for(name, rules["banned"], rules["allowed"])
            if advice:
                refused.add((str(place), line, f"{name}: use {advice}"))
    return [f"{place}:{line} {text}" for place, line, text in sorted(refused)]


def main() -> None:
    """Print what is refused; exit 1 where anything is."""
    refused = check(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1])
    print("\n".join(refused) or "names: all allowed")
    sys.exit(1 if refused else 0)


if __name__ == "__main__":
    main()
