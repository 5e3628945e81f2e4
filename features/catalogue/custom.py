"""A business's own features: a Python file of recipes that the key `[features] own` names.

The file imports the catalogue's names: `from features.recipes.recipe import feature, Recipe,
Reduction, ratio`. Its features are stored with the release as text and never enter the catalogue,
so two configurations in one process do not affect each other. The file is code: it runs with the
rights of the user who runs the command, like everything that the configuration names.
"""

from __future__ import annotations

import ast
import inspect
import os
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Protocol

from features.core.contract import CONTRACT
from features.core.errors import BadSetting, FileMissing
from features.core.settings import Settings
from features.recipes.recipe import FEATURES, Feature, register_into

FAMILY = "own"
FILE = "own_features.py"  # its name in a release
TABLES = (*CONTRACT, "activity")
WINDOWS = ("", "W", "w", "H")
_TEXT = "__own_text__"


def read_source(settings: Settings) -> str:
    """The text of the file that `[features] own` names.

    Errors: FileMissing; BadSetting if the file is not UTF-8.
    """
    path = settings.folder / str(settings.features.own)
    if not os.path.isfile(path):  # False for a name too long, where Path.is_file is an OSError
        raise FileMissing(
            where="[features] own",
            got=f"no file at {path}",
            rule="The key names a Python file of features.",
            fix="Correct the path under [features] own (it starts at the toml's folder).",
        )
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise BadSetting(
            where="[features] own",
            got="a file that is not UTF-8",
            rule="The file is Python in UTF-8.",
            fix="Save the file as UTF-8.",
        ) from error


@lru_cache(maxsize=8)
def run_source(
    text: str, name: str, check: Callable[[Feature, str], Feature]
) -> tuple[Feature, ...]:
    """Run `text` and return the features that it registers, each as `check` returns it.

    `name` is the file's name in messages. Errors: BadSetting with the line of the file.
    """
    registered = _Registry(name)
    try:
        _refuse_inner_imports(text, name)
        with register_into(registered):
            exec(compile(text, name, "exec"), {"__name__": FAMILY, "__file__": name, _TEXT: text})
    except SyntaxError as error:
        raise line_error(name, error.lineno or 1, f"invalid Python: {error.msg}") from error
    except BadSetting:
        raise
    except (Exception, SystemExit) as error:
        raise line_error(
            name, error_line(error, name, 1), f"{type(error).__name__}: {error}"
        ) from error
    if not registered:
        raise line_error(
            name,
            1,
            "no feature in the file",
            fix="Write @feature(…) above a function that returns a Recipe.",
        )
    return tuple(check(entry, name) for entry in registered.values())


def _refuse_inner_imports(text: str, name: str) -> None:
    """BadSetting where the file imports our packages by other names than those of `lifecycle`.

    Only `lifecycle` keeps its names from version to version; inner modules move.
    """
    for node in ast.walk(ast.parse(text, name)):
        modules: list[str] = []
        if isinstance(node, ast.ImportFrom):
            modules = [node.module or ""]
        elif isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        for module in modules:
            if module.split(".")[0] in ("features", "serving", "training"):
                raise line_error(
                    name,
                    getattr(node, "lineno", 1),
                    f"an import from {module}",
                    fix="Write: from lifecycle import Recipe, Reduction, feature, ratio",
                )


class HasFeature(Protocol):
    """A column of the feature table (`features.engine.columns.FeatureColumn`)."""

    @property
    def feature(self) -> Feature: ...


def source_text(columns: Sequence[HasFeature]) -> str | None:
    """The text of the custom file that these columns come from; None if no column is custom."""
    # The checks wrap each function; the original function's globals hold the file's text.
    texts = (
        inspect.unwrap(column.feature.function).__globals__[_TEXT]
        for column in columns
        if column.feature.family == FAMILY
    )
    return next(texts, None)


def refuse_duplicate_columns(names: Sequence[str]) -> None:
    """Raise BadSetting if two features produce a column of the same name."""
    duplicates = [name for name, count in Counter(names).items() if count > 1]
    if duplicates:
        raise BadSetting(
            where="[features] own",
            got=f"a second column '{duplicates[0]}'",
            rule="Column names are unique.",
            fix="Rename the feature in your file.",
        )


class _Registry(dict[str, Feature]):
    """The features of one file; refuses a name that the file or the catalogue already has."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def __setitem__(self, key: str, entry: Feature) -> None:
        if key in self or key in FEATURES:
            whose = "this file" if key in self else "the catalogue"
            raise line_error(
                self.name,
                first_line(entry),
                f"the name '{key}', which {whose} already has",
                fix="Give the feature another name.",
            )
        super().__setitem__(key, entry)


def line_error(
    name: str, line: int, got: str, *, fix: str = "Correct that line of the file."
) -> BadSetting:
    return BadSetting(
        where=f"{name}, line {line}",
        got=got,
        fix=fix,
        rule="Custom features are recipes over the contract's tables (docs/decisions/017).",
    )


def first_line(entry: Feature) -> int:
    return entry.function.__code__.co_firstlineno


def error_line(error: BaseException, name: str, default: int) -> int:
    """The deepest line of the file in the error's traceback; `default` if there is none."""
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == name
    ]
    return (lines[-1] if lines else None) or default
