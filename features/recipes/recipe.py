"""Recipes: what a feature function returns instead of a value.

A recipe has reductions (which rows, which integer column, which window, which aggregate) and a
formula over them. Reductions are plain data, so equal ones are computed once, and one recipe can
run over all history, over the events of a request, or on another engine. Values are integers before
they are summed, so no result depends on the order of rows, on threads or on chunks.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import narwhals as nw

from features.core.instants import DAY_US

# A real is multiplied by its scale and rounded to an integer, which can be summed exactly.
DECAY_SCALE = 1 << 30
LOG_SCALE = 1_000_000
SCORE_SCALE = 1_000_000
EXACT = 1 << 53  # whole numbers below it are exact as float64


@dataclass(frozen=True)
class Reduction:
    """One integer per customer, from the rows of `table` with one of `kinds` and the flag `where`.

    how: count, sum (0 without a row), min, max, median (null without a row), distinct (number of
    different non-null values), decay: Σ 0.5^(age / `half_life_days`) in units of 2^-30, or Σ value
    · 0.5^… for another `value` than the instant, in 128 bits because 10^15 minor units times 2^30
    exceed 64. Window: [as_of − since_days, as_of − until_days); since_days None: from the first row
    on.
    """

    table: str
    how: str
    value: str = "occurred_at"
    kinds: tuple[str, ...] = ()
    where: str = ""
    since_days: float | None = None
    until_days: float = 0
    half_life_days: float = 0

    @property
    def key(self) -> str:
        """A column name that is equal for equal reductions only."""
        parts = (
            self.how,
            self.value,
            *self.kinds,
            self.where,
            self.since_days,
            self.until_days,
            self.half_life_days,
        )
        return re.sub(r"[^0-9A-Za-z_]", "_", "__".join([self.table, *map(str, parts)]))

    def expression(self, as_of: int | nw.Expr) -> nw.Expr:
        """The aggregate over one customer's rows: int64; sums are float64 of an exact integer."""
        selected, value = self.in_window(as_of), nw.col(self.value)
        if self.how == "count":
            return nw.when(selected).then(nw.col("customer_id")).count().cast(nw.Int64)
        if self.how == "sum":
            present = nw.when(selected & ~value.is_null())
            return present.then(value).otherwise(nw.lit(0)).sum().cast(nw.Float64)
        if self.how == "decay":
            return self._decayed_sum(as_of, selected)
        values = nw.when(selected).then(value)
        if self.how == "distinct":
            # Null, which stands for the rows that are not selected, counts as one value: subtract
            # it.
            return values.n_unique().cast(nw.Int64) - values.is_null().max().cast(nw.Int64)
        return {"min": values.min, "max": values.max, "median": values.median}[self.how]()

    def _decayed_sum(self, as_of: int | nw.Expr, selected: nw.Expr) -> nw.Expr:
        age = (as_of - nw.col("occurred_at")) / (self.half_life_days * DAY_US)
        weight = ((nw.lit(0.5) ** age) * DECAY_SCALE).round().cast(nw.Int64)
        if self.value != "occurred_at":
            value = nw.col(self.value)
            selected, weight = selected & ~value.is_null(), weight.cast(nw.Int128) * value
        return nw.when(selected).then(weight).otherwise(nw.lit(0)).sum().cast(nw.Float64)

    def in_window(self, as_of: int | nw.Expr) -> nw.Expr:
        """Whether a row matches and happened within the window before as_of (µs)."""
        inside = self.matches
        if self.since_days is not None:
            inside = inside & (nw.col("occurred_at") >= as_of - self.since_us)
        if self.until_days:
            inside = inside & (nw.col("occurred_at") < as_of - self.until_us)
        return inside

    @property
    def matches(self) -> nw.Expr:
        """Whether a row has one of the kinds and the flag, whenever it happened."""
        matches: nw.Expr = nw.lit(True)
        if self.kinds:
            matches = matches & nw.col("kind").is_in(list(self.kinds))
        return matches & nw.col(self.where) if self.where else matches

    @property
    def since_us(self) -> int:
        """From the beginning of the window to as_of, in µs; ValueError without a beginning."""
        if self.since_days is None:
            raise ValueError(f"{self.key} has no window")
        return round(self.since_days * DAY_US)

    @property
    def until_us(self) -> int:
        """From the end of the window to as_of, in µs."""
        return round(self.until_days * DAY_US)


@dataclass(frozen=True)
class Recipe:
    """Named reductions, and `formula(r, now)`, a narwhals expression over them (`r.<name>`)."""

    reductions: dict[str, Reduction]
    formula: Callable[[Any, Now], nw.Expr]


@dataclass(frozen=True)
class Now:
    """What a formula may use besides its reductions.

    as_of: µs, or the column as_of. definitions: frozen in the release. population: the statistics
    of all customers.
    """

    as_of: int | nw.Expr
    # `Any`, because both types are made with recipes and import this module.
    definitions: Any
    population: Any

    @property
    def minutes(self) -> nw.Expr:
        """The instant in whole minutes."""
        at = self.as_of if isinstance(self.as_of, nw.Expr) else nw.lit(self.as_of)
        return (at / 60_000_000).floor()

    def age_days(self, instant: nw.Expr) -> nw.Expr:
        """Days from `instant` (µs) to as_of."""
        return (self.as_of - instant) / DAY_US


@dataclass(frozen=True)
class Feature:
    """One catalogue entry.

    windows: '' (none), 'W' (the release's windows and all time), 'w' (the windows only) or 'H'
    (half-lives). words: a sentence with the value for people. leaving: 1 where a higher value can
    only make churn more likely, all else being equal; −1 where it can only make it less likely; 0
    where neither is certain.
    """

    name: str
    function: Callable[..., Recipe]
    family: str
    tables: tuple[str, ...]
    windows: str
    words: str
    unit: str
    leaving: int = 0

    @property
    def doc(self) -> str:
        return inspect.cleandoc(self.function.__doc__ or "")


FEATURES: dict[str, Feature] = {}
_into: ContextVar[dict[str, Feature]] = ContextVar("_into", default=FEATURES)


@contextmanager
def register_into(into: dict[str, Feature]) -> Iterator[None]:
    """Features defined within the block go into `into`: those of a business's own file."""
    token = _into.set(into)
    try:
        yield
    finally:
        _into.reset(token)


def feature(
    *, tables: tuple[str, ...], unit: str, words: str, windows: str = "", leaving: int = 0
) -> Callable[[Callable[..., Recipe]], Callable[..., Recipe]]:
    """Register a function as a feature: its name is the column's, its module's name is the family.

    words: a sentence with `{value}` (or `{answer}`: yes for 1, no for 0) and, for features with
    windows, `{window}`. leaving: see `Feature`.
    """

    def register(function: Callable[..., Recipe]) -> Callable[..., Recipe]:
        family = function.__module__.rsplit(".", 1)[-1]
        name = function.__name__
        _into.get()[name] = Feature(name, function, family, tables, windows, words, unit, leaving)
        return function

    return register


def ratio(top: nw.Expr, bottom: nw.Expr) -> nw.Expr:
    """top / bottom; null where bottom is 0, so never NaN or infinite."""
    return nw.when(bottom != 0).then(top / bottom)


def variance(total: nw.Expr, squares: nw.Expr, count: nw.Expr) -> nw.Expr:
    """Sample variance from Σx and Σx² of integers, and n; null for n < 2, and never below 0.

    Computed in 128-bit integers where the sums are exact as float64: for values that hardly differ,
    the difference of two large floats would be rounding error.
    """
    wide = [sums.cast(nw.Int128) for sums in (total, squares, count)]
    exact = (wide[2] * wide[1] - wide[0] * wide[0]).cast(nw.Float64) / (count * (count - 1))
    rough = (squares - total * total / count) / (count - 1)
    small = (squares < EXACT) & (count < 1_000_000)
    raw = nw.when(small).then(exact).otherwise(rough)
    return nw.when(count >= 2).then(nw.when(raw > 0).then(raw).otherwise(nw.lit(0.0)))
