"""The oracle's features: every column once more, slowly and obviously, as oracle.py says it is
written.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from statistics import median
from typing import Any

from tests.support.oracle import (
    DAY,
    FOREVER,
    MINUTE,
    OPEN,
    Row,
    Tables,
    everybody,
    gaps_of,
    known,
    local_day,
    of,
    of_kind,
    terms_of,
    usual_gap,
)
from tests.support.oracle_activity import activity_and_money
from tests.support.oracle_attributes import attributes
from tests.support.oracle_engagement import engagement
from tests.support.oracle_satisfaction import feedback

MILLION = 10**6
Value = float | Fraction | None


@dataclass(frozen=True)
class Seen:
    """One customer with activity or cover: `days` their activity instants in time order, and their
    known rows.
    """

    as_of: int
    days: list[int]
    transactions: list[Row]
    interactions: list[Row]
    feedback: list[Row]
    contracts: list[Row]
    zone: str
    definitions: Any
    base: Any

    def age(self, instant: int | None) -> Fraction | None:
        return None if instant is None else Fraction(self.as_of - instant, DAY)

    def since(self, rows: list[Row], days: Any, until: Any = 0) -> list[Row]:
        """Those of the window [as_of − days, as_of − until)."""
        ages = [(row, self.age(row["occurred_at"])) for row in rows]
        return [row for row, age in ages if age > until and (days is None or age <= days)]

    def active(self, days: Any, until: Any = 0) -> int:
        return len(self.since([{"occurred_at": day} for day in self.days], days, until))

    @property
    def bought(self) -> list[Row]:
        return of_kind(self.transactions, "purchase")

    @property
    def begun(self) -> list[Row]:
        """Interactions the customer began."""
        return [row for row in self.interactions if row["kind"] != "sent"]

    def engaged(self, days: int | None) -> int:
        return len(
            {local_day(row["occurred_at"], self.zone) for row in self.since(self.begun, days)}
        )

    def scores(self, rows: list[Row]) -> list[Fraction]:
        """Answers, 0…1 on the scale declared for their kind, in millionths."""
        answers = [
            (row["score"], *scale)
            for row in rows
            for scale in self.definitions.scales
            if scale[0] == row["kind"]
        ]
        shares = [
            (score - low) / (high - low) for score, _, low, high in answers if score is not None
        ]
        return [Fraction(math.floor(share * MILLION + 0.5), MILLION) for share in shares]


def features(
    tables: Tables, as_of: int, settings: Any, definitions: Any, base: Any
) -> dict[str, dict[str, Value]]:
    """customer -> column -> value. Without `trend_ratio_all` (no formula in its docstring) and
    `p_no_activity` (test_btyd).
    """
    now, out = known(tables, as_of), {}
    for customer, days in everybody(now, as_of, settings).items():
        rows = [of(customer, now, name) for name in ("transactions", "interactions", "feedback")]
        terms = terms_of(of(customer, now, "contracts"), settings) if settings.contractual else []
        seen = Seen(as_of, days, *rows, terms, settings.zone, definitions, base)
        out[customer] = timing(seen) | rhythm(seen) | faded(seen) | windowed(seen) | trend(seen)
        out[customer] |= (
            monetary(seen) | satisfaction(seen) | cover(seen) | activity_and_money(seen)
        )
        out[customer] |= attributes(customer, tables, as_of, definitions)
        out[customer] |= engagement(seen) | feedback(seen, now["feedback"])
    return out


def over(top: Any, bottom: Any) -> Value:
    return None if top is None or bottom is None or bottom == 0 else top / bottom


def mean(values: list) -> Fraction | None:
    return Fraction(sum(values)) / len(values) if values else None


def spread(values: list) -> float | None:
    """Sample standard deviation."""
    squares = [(value - mean(values)) ** 2 for value in values]
    return math.sqrt(sum(squares) / (len(values) - 1)) if len(values) > 1 else None


def newest(rows: list[Row], clock: str = "occurred_at") -> int | None:
    return max((row[clock] for row in rows), default=None)


def timing(seen: Seen) -> dict[str, Value]:
    wait, tenure, base = (
        seen.age(max(seen.days, default=None)),
        seen.age(min(seen.days, default=None)),
        Fraction(seen.definitions.population_mean_gap_us, DAY),
    )
    # Reals become whole numbers row by row before they are summed: instants and gaps count in whole
    # minutes.
    ages = [seen.as_of // MINUTE - day // MINUTE for day in seen.days]
    return {
        "recency": wait,
        "tenure": tenure,
        "active_life": tenure - wait if seen.days else None,
        "dormant_share": over(wait, tenure),
        "recency_interaction": seen.age(newest(seen.begun)),
        "recency_visit": seen.age(newest(of_kind(seen.begun, "visit", "login", "usage"))),
        "recency_any": seen.age(newest(seen.transactions + seen.begun)),
        "mean_activity_age": over(mean(ages), 1440),
        "active_period_share": Fraction(
            sum(seen.active(base * (k + 1), base * k) > 0 for k in range(12)), 12
        ),
        "activity_rate": len(seen.days) / max(tenure, base) if seen.days else None,
        "stickiness": (seen.engaged(7) + Fraction(7, 30)) / (seen.engaged(30) + 1),
        "interactions_since_activity": sum(
            row["occurred_at"] > max(seen.days, default=FOREVER) for row in seen.begun
        ),
        "channels_per_interaction": Fraction(
            len({row["channel"] for row in seen.begun} - {None}), len(seen.begun) + 1
        ),
    }


def rhythm(seen: Seen) -> dict[str, Value]:
    exact, wait = gaps_of(seen.days), seen.as_of - max(seen.days, default=seen.as_of)
    gaps = [max(1, gap // MINUTE) for gap in exact]
    average, sd, g = (
        mean(gaps),
        spread(gaps),
        usual_gap(seen.days, seen.definitions.population_mean_gap_us),
    )
    logs = [math.floor(math.log(gap) * MILLION + 0.5) for gap in gaps]
    return {
        "overdue": wait / g if seen.days else None,
        "usual_gap": g / DAY if seen.days else None,
        "recency_over_longest_gap": over(Fraction(wait, MINUTE), max(gaps, default=None)),
        "recency_percentile": Fraction(1 + sum(gap < wait for gap in exact), 2 + len(gaps))
        if seen.days
        else None,
        "gap_mean": over(average, 1440),
        "gap_median": Fraction(median(gaps)) / 1440 if gaps else None,
        "gap_cv": over(sd, average),
        "recency_zscore": None
        if sd is None
        else (Fraction(wait, MINUTE) - average) / max(sd, 1440),
        "gap_last": Fraction(gaps[-1], 1440) if gaps else None,
        "gap_last_over_mean": over(gaps[-1], average) if gaps else None,
        "gap_mean_last_five": over(mean(gaps[-5:]), 1440),
        "irregularity": math.log(average) - sum(logs) / len(logs) / MILLION
        if len(gaps) > 1
        else None,
    }


def faded(seen: Seen) -> dict[str, Value]:
    """Σ 0.5^(age / half-life), each weight in whole 2^-30."""
    bought, begun = ([row["occurred_at"] for row in rows] for rows in (seen.bought, seen.begun))
    out = {}
    for k, life in zip((1, 3, 6), seen.definitions.half_lives_days, strict=True):
        for name, instants in (
            ("activity", seen.days),
            ("purchases", bought),
            ("interactions", begun),
        ):
            weights = [
                math.floor(0.5 ** ((seen.as_of - at) / (life * DAY)) * 2**30 + 0.5)
                for at in instants
            ]
            out[f"{name}_ewm_{k}x_gap"] = Fraction(sum(weights), 2**30)
    return out


def windowed(seen: Seen) -> dict[str, Value]:
    """Every column that is counted in each window and over all time."""
    unit, out = seen.definitions.minor_units, {}
    for window, days in [
        *((f"{days}d", days) for days in seen.definitions.windows_days),
        ("all", None),
    ]:
        bought, begun = seen.since(seen.bought, days), seen.since(seen.begun, days)
        met, said = seen.since(seen.interactions, days), seen.since(seen.feedback, days)
        scores = seen.scores(said)
        values = {
            "active_days": seen.active(days),
            "purchases": len(bought),
            "interactions": len(begun),
            "amount": Fraction(sum(row["amount"] for row in bought), unit),
            "failed_payments": len(of_kind(seen.since(seen.transactions, days), "payment_failed")),
            "engaged_days": seen.engaged(days),
            "interaction_quantity": sum(
                Fraction(round((row["quantity"] or 0) * 1000), 1000) for row in begun
            ),
            "response_rate": Fraction(
                len(of_kind(met, "opened", "clicked")) + 1, len(of_kind(met, "sent")) + 5
            ),
            "cancel_page_visits": len(of_kind(met, "cancel_page", "downgrade_page")),
            "calls": len(of_kind(met, "call")),
            "complaints": len(of_kind(said, "complaint")),
            "satisfaction_mean": (sum(scores) + 1) / Fraction(len(scores) + 2),
            "unanswered_surveys": sum(
                row["score"] is None for row in of_kind(said, "csat", "nps", "review")
            ),
        }
        out |= {f"{name}_{window}": value for name, value in values.items()}
    return out


def trend(seen: Seen) -> dict[str, Value]:
    half, out = Fraction(1, 2), {}
    span = (seen.age(min(seen.days, default=None)) or 0) + Fraction(
        seen.definitions.population_mean_gap_us, DAY
    )
    for days in seen.definitions.windows_days:
        near, before, far = seen.active(days), seen.active(2 * days, days), seen.active(4 * days)
        met, met_far = (len(seen.since(seen.begun, times * days)) for times in (1, 4))
        expected = days * (len(seen.days) + 1) / span
        windows = seen.since(seen.bought, days), seen.since(seen.bought, 2 * days, days)
        money, earlier = (
            sum(row["amount"] for row in rows) / seen.definitions.minor_units for rows in windows
        )
        out |= {
            f"trend_ratio_{days}d": (near + half) / (Fraction(far, 4) + half),
            f"count_change_{days}d": Fraction(near - before, before + 1),
            f"count_zscore_{days}d": (near - expected) / math.sqrt(expected) if seen.days else None,
            f"engagement_trend_ratio_{days}d": (met + half) / (Fraction(met_far, 4) + half),
            f"amount_trend_{days}d": math.log1p(money) - math.log1p(earlier),
        }
    return out


def monetary(seen: Seen) -> dict[str, Value]:
    unit, refunds = seen.definitions.minor_units, of_kind(seen.transactions, "refund")
    amounts, off = (
        [row["amount"] for row in seen.bought],
        sum(row["discount"] or 0 for row in seen.bought),
    )
    whole = [(2 * amount + unit) // (2 * unit) for amount in amounts]
    # Of equal instants the larger.
    last = max(
        (row["amount"] for row in seen.bought if row["occurred_at"] == newest(seen.bought)),
        default=None,
    )
    return {
        "amount_mean": over(mean(amounts), unit),
        "amount_last_over_mean": over(last, mean(amounts)),
        "amount_max": Fraction(max(amounts), unit) if amounts else None,
        "amount_cv": over(spread(whole), mean(whole)),
        "discount_share": over(Fraction(off), off + sum(amounts)),
        "refund_share": Fraction(len(refunds), len(amounts) + 1),
        "recency_refund": seen.age(newest(refunds)),
        "amount_percentile": Fraction(
            sum(sum(amounts) >= cut for cut in seen.base.amount_quantiles), 20
        ),
        "distinct_categories": len({row["category"] for row in seen.bought} - {None}),
    }


def satisfaction(seen: Seen) -> dict[str, Value]:
    answers = [row for row in seen.feedback if seen.scores([row])]
    complaints, scores = of_kind(seen.feedback, "complaint"), seen.scores(answers)
    answered = newest(answers, "answered_at")
    last = min(
        seen.scores([row for row in answers if row["answered_at"] == answered]), default=None
    )
    resolved = [row for row in complaints if row["resolved_at"] is not None]
    taken = [(row["resolved_at"] - row["occurred_at"]) // MINUTE for row in resolved]
    complained = newest(complaints)
    return {
        "satisfaction_last": last,
        "satisfaction_age": seen.age(answered),
        "satisfaction_min": min(scores, default=None),
        "satisfaction_low_share": Fraction(
            sum(score < Fraction(1, 2) for score in scores), len(scores) + 1
        ),
        "satisfaction_change": None if last is None else last - mean(scores),
        "complaints_open": len(complaints) - len(taken),
        "recency_complaint": seen.age(complained),
        "hours_to_resolve": over(mean(taken), 60),
        "inactive_since_complaint": complained >= seen.days[-1]
        if complained is not None and seen.days
        else None,
    }


def cover(seen: Seen) -> dict[str, Value]:
    names = (
        "days_left",
        "auto_renews",
        "cancelled",
        "term_days",
        "price_per_day",
        "cancelled_ending",
        "renewal_ahead",
        "can_end",
        "cancelled_beyond",
    )
    begun = {"terms": sum(term["starts_at"] <= seen.as_of for term in seen.contracts)}
    running = [
        term for term in seen.contracts if term["starts_at"] <= seen.as_of < term["runs_until"]
    ]
    if not running:
        return begun | dict.fromkeys(names)
    end = max(term["ends_at"] for term in running)
    left, renews = Fraction(end - seen.as_of, DAY), any(term["auto_renew"] for term in running)
    lengths = [term["ends_at"] - term["starts_at"] for term in running if term["ends_at"] < OPEN]
    # Of several that end last: only if all of them are.
    cancelled = all(term["cancelled_at"] is not None for term in running if term["ends_at"] == end)
    length = Fraction(max(lengths), DAY) if lengths else None
    price = max((term["price"] for term in running if term["price"] is not None), default=None)
    a_day, soon = (
        over(price, seen.definitions.minor_units * length) if lengths else None,
        left <= seen.definitions.horizon_days,
    )
    carriers = carrying(seen)
    sure = any(term["cancelled_at"] is not None for term in carriers)
    values = (
        left if end < OPEN else None,
        renews,
        cancelled,
        length,
        a_day,
        soon and cancelled,
        soon and not renews,
        not carriers,
        sure,
    )
    return begun | dict(zip(names, values, strict=True))


def carrying(seen: Seen) -> list[Row]:
    """The known terms that outlast the horizon and are reached from now without a break: they end
    after it, or they renew and the outcome is read before their time to renew is over.
    """
    last, chain = seen.as_of + seen.definitions.horizon_days * DAY, []
    read = last + seen.definitions.label_latency_days * DAY
    for term in seen.contracts:
        if term["starts_at"] > seen.as_of and not term["follows"]:
            break
        chain.append(term)
    return [
        term
        for term in chain
        if term["ends_at"] > last or term["runs_until"] > max(term["ends_at"], read)
    ]
