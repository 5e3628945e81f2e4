"""Value: the activity and spending that the purchase models expect within the horizon.

BG/NBD (Fader, Hardie & Lee 2005) gives the number of active days, Gamma-Gamma (Fader & Hardie 2013)
the spending of one active day. Their parameters are fitted on the population at as_of. A fourth
result, P(no activity), is in `rhythm`.
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
    """P(alive); 1 without a repeat, because the model lets customers leave only after one; null
    without activity.
    """
    model = now.population
    # At least two activities: with one the odds would divide by b − 1.
    some = nw.max_horizontal(r.count, nw.lit(2))
    silence = (now.age_days(r.first) + model.alpha) / ((r.last - r.first) / DAY_US + model.alpha)
    odds = model.a / (some + (model.b - 2)) * silence ** (some + (model.r - 1))
    # Without a first activity there is nothing to leave.
    alive = nw.when(r.count == 1).then(nw.lit(1.0))
    return nw.when(r.count > 1).then(1 / (odds + 1)).otherwise(alive)


def _expected(r: Any, now: Now) -> nw.Expr:
    """Expected active days in the horizon.

    The mean over p ~ Beta(a, b + x) is a two-point Gauss quadrature (Golub & Welsch 1969).
    """
    a, b, n = now.population.a, now.population.b, r.count
    shape = n + (now.population.r - 1)
    reach = now.definitions.horizon_days / (now.age_days(r.first) + now.population.alpha)
    # The two points are the roots of the second orthogonal polynomial (middle ± spread). The
    # smaller one comes from their product, which loses no digits.
    size = n + (a + b + 1)
    spread = ((n + b) * (a + 1) / (n + (a + b))).sqrt() / size
    often = (a + 1) / size + spread
    seldom = a * (a + 1) / ((n + (a + b)) * size * often)
    weight = (often - a / (n + (a + b - 1))) / (2 * spread)
    near, far = _count_given(seldom, shape, reach), _count_given(often, shape, reach)
    return _alive(r, now) * (far + weight * (near - far))


def _count_given(p: nw.Expr, shape: nw.Expr, reach: nw.Expr) -> nw.Expr:
    """Active days of a living customer who leaves with probability p after each one.

    (1 − (1 + p·reach)^−shape) / p.
    """
    # For a tiny p the difference from 1 loses all its digits; the series keeps them.
    series = shape * reach * (1 - (shape + 1) * p * reach / 2)
    return (
        nw.when(shape * reach * p < _SMALL)
        .then(series)
        .otherwise((1 - (p * reach + 1) ** (0 - shape)) / p)
    )


@feature(
    tables=("activity",),
    unit="probability",
    words="{value:.0%} probability of still being a customer, by the purchase model",
)
def p_alive() -> Recipe:
    """P(the customer has not left for good) by BG/NBD, fitted on the population at as_of.

    Formula: 1 / (1 + a / (b + x − 1) · ((α + T) / (α + t_x))^(r + x)); 1 where x = 0. Window: all
    time. Null: no activity. Source: Fader, Hardie & Lee 2005, eq. 10 (denominator); catalogue 71
    (population).
    """
    return Recipe(_MODEL, _alive)


@feature(
    tables=("activity",),
    unit="active days",
    words="{value:.1f} active days expected by the purchase model",
    leaving=-1,
)
def expected_activities() -> Recipe:
    """Active days that BG/NBD expects in the horizon, allowing for leaving within it.

    Formula: P(alive) · E[(1 − (1 + p·h / (α + T))^−(r + x)) / p] over p ~ Beta(a, b + x), the
    conditional expectation (eq. 10) with its integral by two-point Gauss quadrature; a fraction of
    a percent off for most customers, up to a tenth for one much younger than the horizon.
    Window: all time. Null: no activity. Source: Fader, Hardie & Lee 2005, eq. 10; Golub & Welsch
    1969; catalogue 71 (population).
    """
    return Recipe(_MODEL, _expected)


@feature(
    tables=("transactions",),
    unit="currency",
    words="{value:,.0f} of spending expected by the purchase model",
)
def expected_spend() -> Recipe:
    """Expected spending in the horizon: expected active days times the shrunk spending of one.

    Formula: expected_activities · p·(v + Σ amount) / (p·n + q − 1), amounts above 0 of purchases, n
    active days; p, q, v fitted on the population. Where buying is not the activity, the amount is
    spread over the active days. Window: all time. Null: no activity. Source: Fader & Hardie 2013,
    eq. 5; catalogue 71 (population).
    """

    def formula(r: Any, now: Now) -> nw.Expr:
        p, q, v = now.population.money_p, now.population.money_q, now.population.money_v
        a_day = (r.spent + v) * p / (r.count * p + (q - 1))
        return _expected(r, now) * a_day / now.definitions.minor_units

    return Recipe(_MODEL | {"spent": _SPENT}, formula)
