"""The oracle's activity and money: the columns of gaps, streaks, slopes, value and own outcomes,
slowly and obviously.

`seen` is oracle_features.Seen. Numbers of the base are taken as they are: test_catalogue_activity
checks them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from itertools import combinations, pairwise
from statistics import median
from typing import Any

from tests.support.oracle import DAY, MINUTE, Row, gaps_of, of_kind, usual_gap

MILLION = 10**6
Value = float | Fraction | None


def activity_and_money(seen: Any) -> dict[str, Value]:
    out = gaps(seen) | money(seen) | value(seen) | past(seen)
    for days in seen.definitions.windows_days:
        out |= {f"{name}_{days}d": found for name, found in windows(seen, days).items()}
    return out


def gaps(seen: Any) -> dict[str, Value]:
    whole = [max(1, gap // MINUTE) for gap in gaps_of(seen.days)]
    logs = [math.floor(math.log(gap) * MILLION + 0.5) for gap in whole][-5:]
    slopes = [Fraction(logs[j] - logs[i], j - i) for i, j in combinations(range(len(logs)), 2)]
    squares = sum((gap - Fraction(sum(whole), len(whole))) ** 2 for gap in whole)
    shape, g = seen.base.wait_shape, usual_gap(seen.days, seen.definitions.population_mean_gap_us)
    return {
        "recency_cumulative_hazard": (
            math.gamma(1 + 1 / shape) * float((seen.as_of - seen.days[-1]) / g)
        )
        ** shape
        if seen.days
        else None,
        "gap_sd": math.sqrt(squares / (len(whole) - 1)) / 1440 if len(whole) > 1 else None,
        "gap_mean_last_ten": Fraction(sum(whole[-10:]), len(whole[-10:]) * 1440) if whole else None,
        "gap_slope": median(slopes) / MILLION if len(logs) > 2 else None,
        "history_truncated": seen.days[0]
        < seen.base.earliest_at + seen.definitions.population_mean_gap_us
        if seen.days
        else None,
    }


def money(seen: Any) -> dict[str, Value]:
    told = [(row["occurred_at"], row["method"]) for row in seen.bought if row["method"] is not None]
    methods = [method for _, method in sorted(told)]
    failed = [row["occurred_at"] for row in of_kind(seen.transactions, "payment_failed")]
    acquired = seen.days[0 if seen.definitions.acquired == "first_activity" else 1 :][:1]
    total, out = sum(row["amount"] for row in seen.bought), {"amount_percentile_cohort": None}
    for instant in acquired:
        cohort = sum(instant > cut for cut in seen.base.cohort_cuts)
        mine = seen.base.cohort_quantiles[19 * cohort :][:19]
        out["amount_percentile_cohort"] = Fraction(sum(total >= cut for cut in mine), 20)
    for k, life in zip((1, 3, 6), seen.definitions.half_lives_days, strict=True):
        weights = [
            math.floor(0.5 ** ((seen.as_of - row["occurred_at"]) / (life * DAY)) * 2**30 + 0.5)
            for row in seen.bought
        ]
        faded = sum(
            row["amount"] * weight for row, weight in zip(seen.bought, weights, strict=True)
        )
        out[f"amount_ewm_{k}x_gap"] = Fraction(faded, 2**30 * seen.definitions.minor_units)
    return out | {
        "recency_failed_payment": seen.age(max(failed, default=None)),
        "payment_method_changes": sum(one != other for one, other in pairwise(methods))
        if methods
        else None,
    }


def value(seen: Any) -> dict[str, Value]:
    """Fader, Hardie & Lee 2005 with the base's r, alpha, a, b; the mean over leaving from two
    points of a Beta.
    """
    if not seen.days:
        return dict.fromkeys(("p_alive", "expected_activities", "expected_spend"))
    model, x = seen.base, len(seen.days) - 1
    age, last = (
        float(Fraction(until - seen.days[0], DAY)) for until in (seen.as_of, seen.days[-1])
    )
    alive = 1.0
    if x:
        silence = (model.r + x) * (math.log(model.alpha + age) - math.log(model.alpha + last))
        alive = 1 / (1 + model.a / (model.b + x - 1) * math.exp(silence)) if silence < 700 else 0.0
    reach, shape = seen.definitions.horizon_days / (model.alpha + age), model.r + x
    days = alive * mean_over_beta(
        lambda p: -math.expm1(-shape * math.log1p(p * reach)) / p, model.a, model.b + x
    )
    spent = sum(max(0, row["amount"]) for row in seen.bought)
    p, q, v = model.money_p, model.money_q, model.money_v
    a_day = p * (v + spent) / (p * len(seen.days) + q - 1) / seen.definitions.minor_units
    return {"p_alive": alive, "expected_activities": days, "expected_spend": days * a_day}


def mean_over_beta(of: Callable[[float], float], a: float, b: float) -> float:
    """Two points and weights that get every cubic right: moments of Beta(a, b) give the points' sum
    and product.
    """
    whole, part = Fraction(a) + Fraction(b), Fraction(a)
    m1, m2, m3 = (math.prod((part + i) / (whole + i) for i in range(k)) for k in (1, 2, 3))
    total, product = (m3 - m1 * m2) / (m2 - m1**2), (m1 * m3 - m2**2) / (m2 - m1**2)
    high = (float(total) + math.sqrt(total**2 - 4 * product)) / 2
    low = float(product) / high
    share = (high - float(m1)) / (high - low)
    return share * of(low) + (1 - share) * of(high)


def past(seen: Any) -> dict[str, Value]:
    """Own outcomes: the windows of one horizon, backwards from a latency before as_of, begun after
    the first activity.
    """
    if not seen.days:
        return dict.fromkeys(("past_windows", "past_last_retained", "past_retention_rate"))
    late, horizon = seen.definitions.label_latency_days, seen.definitions.horizon_days
    outcomes: list[bool] = []
    while seen.as_of - (late + (len(outcomes) + 1) * horizon) * DAY > seen.days[0]:
        begin = seen.as_of - (late + (len(outcomes) + 1) * horizon) * DAY
        outcomes.append(any(begin <= day < begin + horizon * DAY for day in seen.days))
    return {
        "past_windows": len(outcomes),
        "past_last_retained": outcomes[0] if outcomes else None,
        "past_retention_rate": Fraction(sum(outcomes) + 1, len(outcomes) + 2),
    }


def windows(seen: Any, days: int) -> dict[str, Value]:
    """Twelve windows of W, newest first."""
    counts = [seen.active((k + 1) * days, k * days) for k in range(12)]
    spent = [sum(max(0, row["amount"]) for row in bought_in(seen, days, k)) for k in range(6)]
    first = [k for k, count in enumerate(counts) if count]
    quiet = [k for k, count in enumerate(counts) if not count]
    return {
        "activity_slope": slope([math.log1p(count) for count in counts[:6]]),
        "amount_slope": slope(
            [math.log1p(money / seen.definitions.minor_units) for money in spent]
        ),
        "acceleration": (counts[0] - counts[1]) - (counts[1] - counts[2]),
        "inactive_streak": first[0] if first else 12,
        "active_streak": quiet[0] if quiet else 12,
        "since_peak": counts.index(max(counts)) if first else None,
    }


def bought_in(seen: Any, days: int, k: int) -> list[Row]:
    return seen.since(seen.bought, (k + 1) * days, k * days)


def slope(newest_first: list[float]) -> float:
    xs, ys = range(len(newest_first)), newest_first[::-1]
    x, y = sum(xs) / len(xs), math.fsum(ys) / len(ys)
    return math.fsum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True)) / sum(
        (a - x) ** 2 for a in xs
    )
