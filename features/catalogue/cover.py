"""Cover: the paid contract term that runs at as_of.

The agreed end may lie after as_of. A cancellation counts from the instant it is made. A term that
renews runs on for a while after its end (`features.tables.terms`).
"""

from __future__ import annotations

from typing import Any

import narwhals as nw

from features.core.contract import OPEN_END_US
from features.core.instants import DAY_US
from features.recipes.recipe import Now, Recipe, Reduction, feature


def _running(how: str, value: str) -> Reduction:
    return Reduction("contracts", how, value=value, where="running")


# Of several running terms the one that ends last counts. It is cancelled only if all terms that
# end at that instant are cancelled.
_CANCELLED = Reduction("contracts", "min", value="cancelled_flag", where="runs_longest")


@feature(tables=("contracts",), unit="days", words="paid cover ends in {value:.0f} days")
def days_left() -> Recipe:
    """Days of cover left; below 0 while a term that renews runs on after its end.

    Formula: max ends_at − as_of over running terms. Window: at as_of. Null: no cover, or cover
    without an end. Source: KKBox; catalogue ctx.
    """
    return Recipe(
        {"end": _running("max", "ends_at")},
        lambda r, now: nw.when(r.end < OPEN_END_US).then((r.end - now.as_of) / DAY_US),
    )


@feature(tables=("contracts",), unit="0 or 1", words="automatic renewal: {answer}")
def auto_renews() -> Recipe:
    """1 where a running term renews automatically.

    Formula: max auto_renew over running terms. Window: at as_of. Null: no cover.
    Source: catalogue ctx.
    """
    return Recipe({"auto": _running("max", "auto_renew_flag")}, lambda r, now: r.auto)


@feature(tables=("contracts",), unit="0 or 1", words="current term cancelled: {answer}")
def cancelled() -> Recipe:
    """1 where the running term that ends last is known to be cancelled.

    Formula: [cancelled_at < as_of]. Window: at as_of. Null: no cover. Source: architecture,
    outcomes.
    """
    return Recipe({"cancelled": _CANCELLED}, lambda r, now: r.cancelled)


@feature(tables=("contracts",), unit="days", words="contract term of {value:.0f} days")
def term_days() -> Recipe:
    """Length of the running term: it separates monthly from annual plans.

    Formula: max(ends_at − starts_at) over running terms with an end. Window: at as_of. Null: no
    cover, or open-ended. Source: KKBox.
    """
    return Recipe({"length": _running("max", "term_us")}, lambda r, now: r.length / DAY_US)


@feature(tables=("contracts",), unit="terms", words="contract term number {value:.0f}")
def terms() -> Recipe:
    """Number of terms begun so far.

    Formula: count of terms with starts_at ≤ as_of. Window: all time. Null: never (0).
    Source: KKBox.
    """
    return Recipe({"count": Reduction("contracts", "count", where="begun")}, lambda r, now: r.count)


@feature(tables=("contracts",), unit="currency a day", words="pays {value:.2f} a day")
def price_per_day() -> Recipe:
    """Price of the running term per day of cover.

    Formula: max price / term length. Window: at as_of. Null: no cover, open-ended, or no price.
    Source: catalogue ctx.
    """

    def formula(r: Any, now: Now) -> nw.Expr:
        # A term that ends when it starts has no price per day.
        length = nw.when(r.length > 0).then(r.length)
        return r.price / now.definitions.minor_units / (length / DAY_US)

    return Recipe(
        {"price": _running("max", "price"), "length": _running("max", "term_us")}, formula
    )


@feature(
    tables=("contracts",),
    unit="0 or 1",
    words="cancelled, and cover ends within the horizon: {answer}",
)
def cancelled_ending() -> Recipe:
    """1 where the running term is cancelled and ends within the horizon: leaving is then agreed.

    Formula: [cancelled] · [days left ≤ horizon]. Window: horizon. Null: no cover.
    Source: architecture, outcomes.
    """

    def formula(r: Any, now: Now) -> nw.Expr:
        ends = r.end - now.as_of <= now.definitions.horizon_days * DAY_US
        # 0 times the flag, and not 0: it stays null without cover.
        return nw.when(ends).then(r.cancelled).otherwise(0 * r.cancelled)

    return Recipe({"cancelled": _CANCELLED, "end": _running("max", "ends_at")}, formula)


@feature(
    tables=("contracts",),
    unit="0 or 1",
    words="manual renewal due within the horizon: {answer}",
)
def renewal_ahead() -> Recipe:
    """1 where cover ends within the horizon and does not renew automatically.

    Formula: [days left ≤ horizon] · [not auto_renew]. Window: horizon. Null: no cover.
    Source: KKBox.
    """

    def formula(r: Any, now: Now) -> nw.Expr:
        ends = r.end - now.as_of <= now.definitions.horizon_days * DAY_US
        return nw.when(ends).then(1 - r.auto).otherwise(0 * r.auto)

    return Recipe(
        {"auto": _running("max", "auto_renew_flag"), "end": _running("max", "ends_at")}, formula
    )


@feature(
    tables=("contracts",),
    unit="0 or 1",
    words="cover can end within the horizon without a cancellation: {answer}",
)
def can_end() -> Recipe:
    """1 where the known cover ends within the horizon; 0 where only a cancellation could end it.

    Formula: 1 − [some term of the unbroken chain from as_of on, with pauses up to grace, ends after
    the horizon]. A renewal in advance belongs to the chain. Window: horizon. Null: no cover.
    Source: architecture, outcomes.
    """
    carrying = Reduction("contracts", "count", where="carries")
    return Recipe(
        {"end": _running("max", "ends_at"), "carrying": carrying},
        lambda r, now: _flag_if_covered(r, r.carrying == 0),
    )


@feature(
    tables=("contracts",),
    unit="0 or 1",
    words="cover beyond the horizon already cancelled: {answer}",
)
def cancelled_beyond() -> Recipe:
    """1 where a term that runs past the horizon is already cancelled: nothing more can end in it.

    Formula: max [cancelled_at < as_of] over the terms of `can_end`'s chain that end after the
    horizon, else 0. Window: horizon. Null: no cover. Source: docs/decisions/004.
    """
    cancelled_flag = Reduction("contracts", "max", value="cancelled_flag", where="carries")
    return Recipe(
        {"end": _running("max", "ends_at"), "cancelled": cancelled_flag},
        lambda r, now: _flag_if_covered(r, r.cancelled.fill_null(0) == 1),
    )


def _flag_if_covered(r: Any, test: nw.Expr) -> nw.Expr:
    """1 where `test` holds, else 0; null without cover."""
    return nw.when(~r.end.is_null()).then(nw.when(test).then(nw.lit(1)).otherwise(nw.lit(0)))
