"""Refuse imports of our packages inside a function: python scripts/check_imports.py [ROOT].

An import inside a function hides a circle from a reader of the top of the file. Four places may
have one: the command line (a command loads only what it needs), the Python API (its names resolve
lazily, and training is loaded by what trains, so that features work without the extra `train`),
and the BentoML class (environment variables must be set before numpy is imported).
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGES = ("features", "serving", "training", "lifecycle")
MAY_IMPORT_LATE = (
    "lifecycle/cli",
    "lifecycle/__init__.py",
    "lifecycle/business.py",
    "lifecycle/monitoring.py",
    "serving/api/service.py",
)


def imported_modules(node: ast.AST) -> list[str]:
    """The modules that one statement imports; a relative import is always ours."""
    match node:
        case ast.Import(names=names):
            return [alias.name for alias in names]
        case ast.ImportFrom(module=module, level=level):
            return [f"{PACKAGES[0]}.{module}" if level else str(module)]
    return []


def late_imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and module of each import of ours below a function."""
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for node in ast.walk(function):
            for module in imported_modules(node):
                if module.split(".")[0] in PACKAGES:
                    yield getattr(node, "lineno", 0), module


def check(root: Path) -> list[str]:
    """One line per refused import below the root."""
    refused: set[tuple[str, int, str]] = set()
    for path in (path for package in PACKAGES for path in (root / package).rglob("*.py")):
        place = path.relative_to(root).as_posix()
        if not place.startswith(MAY_IMPORT_LATE):
            refused |= {(place, *late) for late in late_imports(ast.parse(path.read_text()))}
    return [
        f"{place}:{line} imports {module} in a function" for place, line, module in sorted(refused)
    ]


def main() -> None:
    """Print what is refused; exit 1 where anything is."""
    refused = check(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1])
    print("\n".join(refused) or "imports: all at the top of their files")
    sys.exit(1 if refused else 0)


if __name__ == "__main__":
    main()
