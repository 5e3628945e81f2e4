"""What a feature function returns: a recipe, never a value.

A recipe names reductions (which rows, which integer column, which window, how reduced) and a formula over them.
Reductions are plain data, so equal ones are computed once, and one recipe can run as a scan, over a request, or on
another engine. Values are integers before they are summed, so no result depends on row order, threads or chunks.
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

# What a real is multiplied with before it becomes an integer that can be summed exactly.
DECAY_SCALE = 1 << 30
LOG_SCALE = 1_000_000
SCORE_SCALE = 1_000_000
EXACT = 1 << 53  # whole numbers below it are exact as reals


@dataclass(frozen=True)
class Reduction:
    """One integer per customer out of the rows of `table` that fit `kinds` and the prepared flag `where`.

    how: count, sum (0 where no row fits), min, max, median (null where none fits), distinct (of non-null values),
    decay (Σ 0.5^(age / `half_life_days`), in 2^-30; of another `value` than the instant Σ value · 0.5^…, in 128 bits:
    10^15 minor units in 2^-30 pass 64). Window: [as_of − since_days, as_of − until_days).
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
        """The aggregate over one customer's rows; counts and sums are int64."""
        kept, value = self._kept(as_of), nw.col(self.value)
        if self.how == "count":
            return nw.when(kept).then(nw.col("customer_id")).count().cast(nw.Int64)
        if self.how == "sum":
            return (
                nw.when(kept & ~value.is_null())
                .then(value)
                .otherwise(nw.lit(0))
                .sum()
                .cast(nw.Float64)
            )
        if self.how == "decay":
            age = (as_of - nw.col("occurred_at")) / (self.half_life_days * DAY_US)
            weight = ((nw.lit(0.5) ** age) * DECAY_SCALE).round().cast(nw.Int64)
            if self.value != "occurred_at":
                kept, weight = kept & ~value.is_null(), weight.cast(nw.Int128) * value
            return nw.when(kept).then(weight).otherwise(nw.lit(0)).sum().cast(nw.Float64)
        shown = nw.when(kept).then(value)
        if self.how == "distinct":
            return shown.n_unique().cast(nw.Int64) - shown.is_null().max().cast(nw.Int64)
        return {"min": shown.min, "max": shown.max, "median": shown.median}[self.how]()

    def _kept(self, as_of: int | nw.Expr) -> nw.Expr:
        kept = self.fits
        if self.since_days is not None:
            kept = kept & (nw.col("occurred_at") >= as_of - self.since_us)
        if self.until_days:
            kept = kept & (nw.col("occurred_at") < as_of - self.until_us)
        return kept

    @property
    def fits(self) -> nw.Expr:
        """Whether a row is meant, whenever it happened."""
        fits = nw.lit(True)
        if self.kinds:
            fits = fits & nw.col("kind").is_in(list(self.kinds))
        return fits & nw.col(self.where) if self.where else fits

    @property
    def since_us(self) -> int:
        return round(self.since_days * DAY_US)

    @property
    def until_us(self) -> int:
        return round(self.until_days * DAY_US)


@dataclass(frozen=True)
class Recipe:
    """`formula(r, now)` gives a narwhals expression; `r.<name>` is the reduction of that name."""

    reductions: dict[str, Reduction]
    formula: Callable[[Any, Now], nw.Expr]


@dataclass(frozen=True)
class Now:
    """What a formula may see beside its reductions: the instant, the frozen definitions, the base."""

    as_of: int | nw.Expr
    definitions: Any
    base: Any

    @property
    def minutes(self) -> nw.Expr:
        """The instant in whole minutes."""
        at = self.as_of if isinstance(self.as_of, nw.Expr) else nw.lit(self.as_of)
        return (at / 60_000_000).floor()

    def age_days(self, instant: nw.Expr) -> nw.Expr:
        return (self.as_of - instant) / DAY_US


@dataclass(frozen=True)
class Feature:
    """One catalogue entry. `windows`: '' (none), 'W' (the frozen windows and all time) or 'H' (half-lives).

    `leaving`: 1 where a higher value can only make leaving likelier, all else equal, −1 less likely, 0 where that is
    not certain.
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
def registering(into: dict[str, Feature]) -> Iterator[None]:
    """Whatever registers meanwhile (a business's own file) goes into `into` and not into the catalogue."""
    token = _into.set(into)
    try:
        yield
    finally:
        _into.reset(token)


def feature(
    *, tables: tuple[str, ...], unit: str, words: str, windows: str = "", leaving: int = 0
) -> Callable:
    """Register a feature function under its module's name as family; the function's name is the column's.

    `words` puts a value into a sentence for people: `{value}` and, where windowed, `{window}`; `leaving` is the certain
    direction (see `Feature`).
    """

    def register(function: Callable[..., Recipe]) -> Callable[..., Recipe]:
        family = function.__module__.rsplit(".", 1)[-1]
        name = function.__name__
        _into.get()[name] = Feature(name, function, family, tables, windows, words, unit, leaving)
        return function

    return register


def ratio(top: nw.Expr, bottom: nw.Expr) -> nw.Expr:
    """top / bottom, null where bottom is 0 (never NaN or infinite)."""
    return nw.when(bottom != 0).then(top / bottom)


def variance(total: nw.Expr, squares: nw.Expr, count: nw.Expr) -> nw.Expr:
    """Sample variance from Σx, Σx² of integers and n; null under two rows; never below 0 through rounding.

    In whole numbers where the sums are exact as reals: gaps that hardly differ would else cancel to noise.
    """
    wide = [sums.cast(nw.Int128) for sums in (total, squares, count)]
    exact = (wide[2] * wide[1] - wide[0] * wide[0]).cast(nw.Float64) / (count * (count - 1))
    rough = (squares - total * total / count) / (count - 1)
    small = (squares < EXACT) & (count < 1_000_000)
    raw = nw.when(small).then(exact).otherwise(rough)
    return nw.when(count >= 2).then(nw.when(raw > 0).then(raw).otherwise(nw.lit(0.0)))
