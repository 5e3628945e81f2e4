"""A business's own features: a Python file of recipes, named by `[features] own`, beside the catalogue.

The file uses the catalogue's words: `from features.recipes.recipe import feature, Recipe, Reduction, ratio`. What it registers
is kept with its text and never enters the catalogue, so two configurations in one process do not meet. It is code: it
runs with the rights of whoever runs the command, like everything the configuration names.
"""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from features.core.contract import CONTRACT
from features.core.errors import BadSetting, FileMissing
from features.core.settings import Settings
from features.recipes.recipe import FEATURES, Feature, registering

FAMILY = "own"
FILE = "own_features.py"  # its name in a release
TABLES = (*CONTRACT, "activity")
WINDOWS = ("", "W", "w", "H")
_TEXT = "__own_text__"


def read(settings: Settings) -> str:
    """The file's text. FileMissing, or BadSetting where it is not UTF-8."""
    path = settings.folder / str(settings.features.own)
    if not path.is_file():
        raise FileMissing(
            where="[features] own",
            got=f"no file at {path}",
            rule="It names a Python file of features.",
            fix="Mend the path (it resolves against the toml's folder), or leave the key out.",
        )
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise BadSetting(
            where="[features] own",
            got="a file that is not UTF-8",
            rule="It is Python in UTF-8.",
            fix="Save it as UTF-8.",
        ) from error


@lru_cache(maxsize=8)
def loaded(text: str, name: str, check: Callable[[Feature, str], Feature]) -> tuple[Feature, ...]:
    """The features that running `text` registers, each after `check` of it. BadSetting with the line otherwise."""
    made = _Registered(name)
    try:
        with registering(made):
            exec(compile(text, name, "exec"), {"__name__": FAMILY, "__file__": name, _TEXT: text})
    except SyntaxError as error:
        raise wrong_line(
            name, error.lineno or 1, f"Python that cannot be read: {error.msg}"
        ) from error
    except BadSetting:
        raise
    except (Exception, SystemExit) as error:
        raise wrong_line(
            name, line_of(error, name, 1), f"{type(error).__name__}: {error}"
        ) from error
    if not made:
        raise wrong_line(
            name,
            1,
            "no feature in it",
            fix="Write @feature(…) above a function that returns a Recipe.",
        )
    return tuple(check(entry, name) for entry in made.values())


def text_of(columns: Sequence[Any]) -> str | None:
    """The file that these columns' own features came from, as it was when they were loaded; None without any."""
    texts = (
        c.feature.function.__wrapped__.__globals__[_TEXT]
        for c in columns
        if c.feature.family == FAMILY
    )
    return next(texts, None)


def refuse_twice(names: Sequence[str]) -> None:
    """BadSetting where two features make one column (a feature of the business's own and another)."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise BadSetting(
            where="[features] own",
            got=f"a second column '{twice[0]}'",
            rule="Every column has one name.",
            fix="Rename the feature in your file.",
        )


class _Registered(dict[str, Feature]):
    """What a file registers, refusing a name twice or one of the catalogue's."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def __setitem__(self, key: str, entry: Feature) -> None:
        if key in self or key in FEATURES:
            whose = "this file" if key in self else "the catalogue"
            raise wrong_line(
                self.name,
                first_line(entry),
                f"the name '{key}', which {whose} has already",
                fix="Give the feature another name.",
            )
        super().__setitem__(key, entry)


def wrong_line(name: str, line: int, got: str, *, fix: str = "Mend the line named.") -> BadSetting:
    return BadSetting(
        where=f"{name}, line {line}",
        got=got,
        fix=fix,
        rule="Own features follow docs/decisions/017: recipes over the contract's tables.",
    )


def first_line(entry: Feature) -> int:
    return entry.function.__code__.co_firstlineno


def line_of(error: BaseException, name: str, otherwise: int) -> int:
    """The deepest line of the file that the error passed through."""
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == name
    ]
    return (lines[-1] if lines else None) or otherwise
