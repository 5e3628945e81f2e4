"""Value: what the purchase model expects of a customer in the horizon, in activity and in money.

BG/NBD (Fader, Hardie & Lee 2005) tells how many active days to expect, Gamma-Gamma (Fader & Hardie 2013) how much
money one of them brings; their parameters are fitted on the base at as_of. The fourth of them, P(no activity), is in
`rhythm`.
"""

from __future__ import annotations

from typing import Any

import narwhals as nw

from features.core.instants import DAY_US
from features.recipes.recipe import Now, Recipe, Reduction, feature

_MODEL = {
    "first": Reduction("activity", "min"),
    "last": Reduction("activity", "max"),
    "count": Reduction("activity", "count"),
}
_SPENT = Reduction("transactions", "sum", value="spent_minor")
_SMALL = 1e-5


def _alive(r: Any, now: Now) -> nw.Expr:
    """P(alive); 1 without a repeat, for there was no occasion to leave."""
    model = now.base
    # At least two activities, or the odds divide by b − 1.
    some = nw.max_horizontal(r.count, nw.lit(2))
    silence = (now.age_days(r.first) + model.alpha) / ((r.last - r.first) / DAY_US + model.alpha)
    odds = model.a / (some + (model.b - 2)) * silence ** (some + (model.r - 1))
    return nw.when(r.count > 1).then(1 / (odds + 1)).otherwise(nw.lit(1.0))


def _expected(r: Any, now: Now) -> nw.Expr:
    """Expected active days in the horizon: the mean over p by two-point Gauss quadrature of its Beta(a, b + x)."""
    a, b, n = now.base.a, now.base.b, r.count
    shape = n + (now.base.r - 1)
    reach = now.definitions.horizon_days / (now.age_days(r.first) + now.base.alpha)
    # The points are the roots of the second orthogonal polynomial: middle ± spread, their product known as well.
    size = n + (a + b + 1)
    spread = ((n + b) * (a + 1) / (n + (a + b))).sqrt() / size
    often = (a + 1) / size + spread
    seldom = a * (a + 1) / ((n + (a + b)) * size * often)
    weight = (often - a / (n + (a + b - 1))) / (2 * spread)
    near, far = _count_given(seldom, shape, reach), _count_given(often, shape, reach)
    return _alive(r, now) * (far + weight * (near - far))


def _count_given(p: nw.Expr, shape: nw.Expr, reach: nw.Expr) -> nw.Expr:
    """Active days of a customer alive who leaves with probability p after each: (1 − (1 + p·reach)^−shape) / p."""
    # Where next to nobody leaves the difference from 1 has no digits left, and the series has them all.
    series = shape * reach * (1 - (shape + 1) * p * reach / 2)
    return (
        nw.when(shape * reach * p < _SMALL)
        .then(series)
        .otherwise((1 - (p * reach + 1) ** (0 - shape)) / p)
    )


@feature(
    tables=("activity",),
    unit="probability",
    words="the purchase model gives {value:.0%} for still being there",
)
def p_alive() -> Recipe:
    """P(the customer has not left for good) by BG/NBD, its four parameters fitted on the base at as_of.

    Formula: 1 / (1 + a / (b + x − 1) · ((α + T) / (α + t_x))^(r + x)); 1 where x = 0. Window: all time.
    Null: no activity. Source: Fader, Hardie & Lee 2005, eq. 10 (denominator); catalogue 71 (base).
    """
    return Recipe(_MODEL, _alive)


@feature(
    tables=("activity",),
    unit="active days",
    words="the purchase model expects {value:.1f} active days",
    leaving=-1,
)
def expected_activities() -> Recipe:
    """Active days that BG/NBD expects in the horizon, leaving within it included.

    Formula: P(alive) · E[(1 − (1 + p·h / (α + T))^−(r + x)) / p] over p ~ Beta(a, b + x), the conditional expectation
    (eq. 10) with its integral by two-point Gauss quadrature; a fraction of a percent off for most customers, up to a
    tenth for one much younger than the horizon. Window: all time. Null: no activity.
    Source: Fader, Hardie & Lee 2005, eq. 10; Golub & Welsch 1969; catalogue 71 (base).
    """
    return Recipe(_MODEL, _expected)


@feature(
    tables=("transactions",),
    unit="currency",
    words="the purchase model expects {value:,.0f} to be spent",
)
def expected_spend() -> Recipe:
    """Money expected in the horizon: expected active days times the money of one, shrunk to the base's.

    Formula: expected_activities · p·(v + Σ amount) / (p·n + q − 1), amounts above 0 of purchases, n active days; p, q, v
    fitted on the base. Where buying is not the activity, money is spread over the active days. Window: all time.
    Null: no activity. Source: Fader & Hardie 2013, eq. 5; catalogue 71 (base).
    """

    def formula(r, now):
        p, q, v = now.base.money_p, now.base.money_q, now.base.money_v
        a_day = (r.spent + v) * p / (r.count * p + (q - 1))
        return _expected(r, now) * a_day / now.definitions.minor_units

    return Recipe(_MODEL | {"spent": _SPENT}, formula)
