"""A feature value in words, and which values can be a reason at all.

A missing value, "0% of …" and what is true of nearly everyone say nothing about one customer.
Attributes that may be sensitive (age, origin, health …) are never named.
"""

from __future__ import annotations

import math
import re
import sys
from string import Formatter

import numpy as np

from features.engine.columns import FeatureColumn
from features.recipes.definitions import Definitions

ALL_TIME = "all recorded time"  # the window of a column without one
# The nouns that follow a count in the sentences of the catalogue, with an adjective or without.
SINGULAR = {
    "minutes (or pages)": "minute (or page)",
    "categories": "category",
} | {
    f"{noun}s": noun
    for noun in (
        "answer",
        "call",
        "channel",
        "complaint",
        "contact",
        "day",
        "hour",
        "payment",
        "period",
        "purchase",
        "session",
        "survey",
        "time",
        "version",
        "visit",
    )
}
_ROUNDED = re.compile(r"\.(\d+)([f%])$")
_ONE_OF_MANY = re.compile(
    r"(?<![\d.,+-])(1 (?:\w+ )?)(" + "|".join(re.escape(plural) for plural in SINGULAR) + r")(?!\w)"
)


def describe_value(column: FeatureColumn, value: float, usual: float | None = None) -> str:
    """One known value in words, e.g. `last active 74 days ago (usually 12)`.

    `usual`: the median among customers of the same stage, written with the digits of the value.
    """
    window = f"{column.days:g} days" if column.days is not None else ALL_TIME
    filled = column.feature.words.format(value=value, window=window, answer=_answer(value))
    sentence = singular_counts(filled)
    if usual is None:
        return sentence
    if "{answer}" in column.feature.words:
        return f"{sentence} (usually {_answer(usual)})"
    form = value_format(column)
    if form is None:
        return sentence
    return f"{sentence} (usually {usual:{form}})"


def singular_counts(sentence: str) -> str:
    """The sentence with the noun after each 1 in the singular.

    >>> singular_counts("1 open complaints"), singular_counts("21 open complaints")
    ('1 open complaint', '21 open complaints')
    """
    return _ONE_OF_MANY.sub(_to_singular, sentence)


def value_format(column: FeatureColumn) -> str | None:
    """The format of the value in the column's sentence, e.g. `.0%`; None if it is not named."""
    parts = Formatter().parse(column.feature.words)
    return next((form for _, name, form, _ in parts if name == "value"), None)


def same_sentence_span(column: FeatureColumn, value: float) -> tuple[float, float]:
    """The lowest and the highest value that the sentence writes with the same digits as `value`.

    Of a format that does not round to a fixed number of digits: the value alone.

    Example: with `{value:.0f} days` the value 12.3 gives (11.5, 12.5).
    """
    if "{answer}" in column.feature.words:
        # Finite, because a release keeps the span as JSON.
        largest = sys.float_info.max
        return (0.5, largest) if value >= 0.5 else (-largest, math.nextafter(0.5, 0))
    form = value_format(column)
    digits = _digits(form)
    if digits is None:
        return value, value
    written, half = round(value, digits), 0.5 * 10.0**-digits
    return written - half, written + half


def _digits(form: str | None) -> int | None:
    """The decimal digits of a value that a format writes; None where it does not round to some."""
    rounding = _ROUNDED.search(form) if form else None
    if rounding is None:
        return None
    # A percentage shows two digits less than the share has.
    return int(rounding[1]) + (2 if rounding[2] == "%" else 0)


def written_as_usual(
    columns: list[FeatureColumn], values: np.ndarray, usual: np.ndarray
) -> np.ndarray:
    """Where a sentence would say `1 (usually 1)`, bool (rows, columns): that is no reason.

    `values`, `usual`: (rows, columns), NaN where there is none.
    """
    same = np.zeros(values.shape, dtype=bool)
    for at, column in enumerate(columns):
        digits = _digits(value_format(column))
        pair = values[:, at], usual[:, at]
        one, other = pair if digits is None else (np.round(each, digits) for each in pair)
        same[:, at] = one == other
    return same


def can_be_reason(
    columns: list[FeatureColumn],
    values: np.ndarray,
    widespread: np.ndarray | None,
    definitions: Definitions,
) -> np.ndarray:
    """Which values may be named as a reason, bool (rows, columns).

    `values`: (rows, columns), NaN where missing. `widespread`: (rows, columns, 2), the span of the
    values whose sentence is true of nearly everyone of the row's stage, NaN without one.
    """
    allowed = ~np.isnan(values)
    hidden = {name for one in definitions.attributes if one.sensitive for _, name in one.columns}
    for at, column in enumerate(columns):
        if column.name in hidden:
            allowed[:, at] = False
        form = value_format(column) or ""
        if form.endswith("%"):
            low, high = same_sentence_span(column, 0.0)
            allowed[:, at] &= ~((values[:, at] >= low) & (values[:, at] <= high))
    if widespread is None:
        return allowed
    return allowed & ~((values >= widespread[..., 0]) & (values <= widespread[..., 1]))


def _answer(value: float) -> str:
    """What 1 and 0 say in a sentence."""
    return "yes" if value >= 0.5 else "no"


def _to_singular(match: re.Match[str]) -> str:
    return match[1] + SINGULAR[match[2]]
