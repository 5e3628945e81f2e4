"""The oracle: what is known, stages, outcomes and features once more, slowly and obviously.

Written from docs/architecture.md and the words of the feature functions, in plain Python over lists of dicts: whole
numbers and fractions wherever the definition is exact, floats only for roots, logarithms and powers. A table is a list
of rows, a row a dict in the contract's columns, an instant µs UTC. `settings` and `definitions` are only read.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

MINUTE, DAY, MILLION = 60_000_000, 86_400_000_000, 10**6
FOREVER = 10**18
Row = dict[str, Any]
Tables = dict[str, list[Row]]
Value = float | Fraction | None


def local_day(instant: int, zone: str) -> int:
    """The calendar day in `zone`, in days since 1970-01-01."""
    local = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=instant)).astimezone(ZoneInfo(zone))
    return (local.date() - date(1970, 1, 1)).days


def known(tables: Tables, as_of: int) -> Tables:
    """Rows with both clocks before as_of, the latest version of each, without the cells that became known later."""
    out = {}
    for name in tables.keys() - {"customers"}:
        rows = latest(name, [row for row in tables[name] if row["recorded_at"] < as_of])
        out[name] = [hidden(row, as_of) for row in rows if row.get("occurred_at", 0) < as_of]
    return out


def latest(name: str, rows: list[Row]) -> list[Row]:
    """Of rows that are versions of one thing, the one recorded last; what it voids is gone."""
    things: dict[Any, Row] = {}
    for number, row in enumerate(rows):
        thing: Any = number
        if name == "contracts":
            thing = (row["customer_id"], row["starts_at"], row["plan"])
        elif name == "transactions" and row["transaction_id"] is not None:
            thing = (row["customer_id"], row["transaction_id"])
        if thing not in things or row["recorded_at"] > things[thing]["recorded_at"]:
            things[thing] = row
    return [row for row in things.values() if row.get("kind") != "void"]


def hidden(row: Row, as_of: int) -> Row:
    row = dict(row)
    for instant, came_with in (("answered_at", ["score"]), ("resolved_at", []), ("cancelled_at", [])):
        if row.get(instant) is not None and row[instant] >= as_of:
            row.update(dict.fromkeys([instant, *came_with]))
    return row


def of(customer: str, tables: Tables, name: str) -> list[Row]:
    return [row for row in tables.get(name, []) if row["customer_id"] == customer]


def activity(rows: list[Row], settings: Any) -> dict[str, dict[int, int]]:
    """customer -> local day -> the day's first event, of the kinds that are activity."""
    days: dict[str, dict[int, int]] = defaultdict(dict)
    for row in rows:
        if row["kind"] in settings.activity.kinds:
            mine, day = days[row["customer_id"]], local_day(row["occurred_at"], settings.zone)
            mine[day] = min(row["occurred_at"], mine.get(day, FOREVER))
    return dict(days)


def gaps_of(days: list[int]) -> list[int]:
    return [later - earlier for earlier, later in pairwise(days)]


def usual_gap(days: list[int], base_gap: int) -> Fraction:
    return Fraction(2 * base_gap + sum(gaps_of(days)), 2 + len(gaps_of(days)))


@dataclass(frozen=True)
class Standing:
    """Where a customer stands by activity instants in time order, the clock at `at`, cover paid until `until`."""

    days: list[int]
    at: int
    definitions: Any
    until: int | None = None

    @property
    def run(self) -> int:
        """Activities since the last own gap ≥ m₂·g, the one that closed it included."""
        run, long = 1, Fraction(self.definitions.multiples[1]) * usual_gap(self.days, self.definitions.base_gap_us)
        for gap in reversed(gaps_of(self.days)):
            if gap >= long:
                break
            run += 1
        return run

    @property
    def stage(self) -> tuple[str, int]:
        """Stage and rule: the first that fits."""
        overdue = (self.at - self.days[-1]) / usual_gap(self.days, self.definitions.base_gap_us)
        n, run = len(self.days), self.run
        m1, m2, m3 = (Fraction(multiple) for multiple in self.definitions.multiples)
        rules = (
            ("churned", 1, self.until is not None and self.until <= self.at),
            ("churned" if self.until is None else "dormant", 3, overdue >= m3),
            ("dormant", 4, overdue >= m2),
            ("at_risk", 5, overdue >= m1),
            ("new", 6, n == 1),
            ("loyal", 7, run >= 4 or (n >= 4 and run >= 2)),
            ("growing", 8, True),
        )
        return next((stage, rule) for stage, rule, fits in rules if fits)


def states(tables: Tables, as_of: int, settings: Any, definitions: Any) -> dict[str, Row]:
    """customer -> stage, rule, s₀, eligible, n, run …, for everybody with activity."""
    now, out = known(tables, as_of), {}
    for customer, by_day in activity(now[settings.activity.table], settings).items():
        days, until = sorted(by_day.values()), None
        if settings.contractual:
            begun = [term for term in of(customer, now, "contracts") if term["starts_at"] <= as_of]
            until = max((term["ends_at"] for term in begun), default=None)
            idle, eligible = "churned", until is not None and until > as_of
        else:
            idle = Standing(days, as_of + settings.churn.horizon_days * DAY, definitions).stage[0]
            eligible = days[-1] >= as_of - settings.eligible_days * DAY
        here = Standing(days, as_of, definitions, until)
        out[customer] = {
            "stage": here.stage[0], "stage_rule": here.stage[1], "stage_if_inactive": idle, "eligible": eligible,
            "n": len(days), "run": here.run, "first_at": days[0], "last_at": days[-1], "cover_until": until,
        }  # fmt: skip
    return out


def outcomes(tables: Tables, as_of: int, settings: Any, definitions: Any) -> dict[str, Row]:
    """customer -> churned, outcome_stage, window_activities, for everybody with activity known at as_of."""
    end = as_of + settings.churn.horizon_days * DAY
    then = known(tables, end + settings.churn.label_latency_days * DAY)
    name, grace, out = settings.activity.table, settings.churn.grace_days * DAY, {}
    window = activity([row for row in then[name] if as_of <= row["occurred_at"] < end], settings)
    for customer, before in activity(known(tables, as_of)[name], settings).items():
        new = {day: at for day, at in window.get(customer, {}).items() if day not in before}
        days = sorted([*before.values(), *new.values()])
        churned, until = not new, None
        if settings.contractual:
            churned, until = not stays(of(customer, then, "contracts"), as_of, end, grace), FOREVER
        stage = "churned" if churned and settings.contractual else Standing(days, end, definitions, until).stage[0]
        out[customer] = {"churned": churned, "outcome_stage": stage, "window_activities": len(new)}
    return out


def stays(terms: list[Row], as_of: int, end: int, grace: int) -> bool:
    """Walk the chain of terms from the cover that runs at as_of, or the first one begun in the window, as far as each
    next term begins within grace of the cover so far. Who stays is carried past the window's end by a term of the
    chain that was not cancelled in the window. Cover that ends at the window's end ended: rule 1 says so there.
    """
    chain: list[Row] = []
    reach = None
    for term in sorted(terms, key=lambda term: term["starts_at"]):
        if term["ends_at"] <= as_of:
            continue
        if term["starts_at"] >= end if reach is None else term["starts_at"] > reach + grace:
            break
        chain.append(term)
        reach = max(reach or 0, term["ends_at"])
    return any(term["ends_at"] > end and not as_of <= (term["cancelled_at"] or 0) < end for term in chain)


@dataclass(frozen=True)
class Seen:
    """One customer with activity: `days` their activity instants in time order, and their known rows."""

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
        return len({local_day(row["occurred_at"], self.zone) for row in self.since(self.begun, days)})

    def scores(self, rows: list[Row]) -> list[Fraction]:
        """Answers, 0…1 on the scale declared for their kind, in millionths."""
        answers = [
            (row["score"], *scale) for row in rows for scale in self.definitions.scales if scale[0] == row["kind"]
        ]
        shares = [(score - low) / (high - low) for score, _, low, high in answers if score is not None]
        return [Fraction(math.floor(share * MILLION + 0.5), MILLION) for share in shares]


def features(tables: Tables, as_of: int, settings: Any, definitions: Any, base: Any) -> dict[str, dict[str, Value]]:
    """customer -> column -> value. Without `pace_all` (no formula in its docstring) and `p_no_activity` (test_btyd)."""
    now, out = known(tables, as_of), {}
    for customer, by_day in activity(now[settings.activity.table], settings).items():
        rows = [of(customer, now, name) for name in ("transactions", "interactions", "feedback", "contracts")]
        seen = Seen(as_of, sorted(by_day.values()), *rows, settings.zone, definitions, base)
        out[customer] = timing(seen) | rhythm(seen) | faded(seen) | windowed(seen) | trend(seen)
        out[customer] |= monetary(seen) | satisfaction(seen) | cover(seen)
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


def of_kind(rows: list[Row], *kinds: str) -> list[Row]:
    return [row for row in rows if row["kind"] in kinds]


def timing(seen: Seen) -> dict[str, Value]:
    wait, tenure, base = seen.age(seen.days[-1]), seen.age(seen.days[0]), Fraction(seen.definitions.base_gap_us, DAY)
    # Reals become whole numbers row by row before they are summed: instants and gaps count in whole minutes.
    ages = [seen.as_of // MINUTE - day // MINUTE for day in seen.days]
    return {
        "recency": wait, "tenure": tenure, "active_life": tenure - wait, "dormant_share": over(wait, tenure),
        "recency_interaction": seen.age(newest(seen.begun)),
        "recency_visit": seen.age(newest(of_kind(seen.begun, "visit", "login", "usage"))),
        "recency_any": seen.age(newest(seen.transactions + seen.begun)),
        "mean_age": mean(ages) / 1440,
        "active_periods": Fraction(sum(seen.active(base * (k + 1), base * k) > 0 for k in range(12)), 12),
        "activity_rate": len(seen.days) / max(tenure, base),
        "stickiness": (seen.engaged(7) + Fraction(7, 30)) / (seen.engaged(30) + 1),
        "interactions_since_activity": sum(row["occurred_at"] > seen.days[-1] for row in seen.begun),
        "channel_spread": Fraction(len({row["channel"] for row in seen.begun} - {None}), len(seen.begun) + 1),
    }  # fmt: skip


def rhythm(seen: Seen) -> dict[str, Value]:
    exact, wait = gaps_of(seen.days), seen.as_of - seen.days[-1]
    gaps = [max(1, gap // MINUTE) for gap in exact]
    average, sd, g = mean(gaps), spread(gaps), usual_gap(seen.days, seen.definitions.base_gap_us)
    logs = [math.floor(math.log(gap) * MILLION + 0.5) for gap in gaps]
    return {
        "overdue": wait / g, "usual_gap": g / DAY,
        "recency_over_longest_gap": over(Fraction(wait, MINUTE), max(gaps, default=None)),
        "gaps_outlasted": Fraction(1 + sum(gap < wait for gap in exact), 2 + len(gaps)),
        "gap_mean": over(average, 1440),
        "gap_median": Fraction(median(gaps)) / 1440 if gaps else None,
        "gap_cv": over(sd, average),
        "gap_z": None if sd is None else (Fraction(wait, MINUTE) - average) / max(sd, 1440),
        "gap_last": Fraction(gaps[-1], 1440) if gaps else None,
        "gap_last_over_mean": over(gaps[-1], average) if gaps else None,
        "gap_mean_recent": over(mean(gaps[-5:]), 1440),
        "regularity": math.log(average) - sum(logs) / len(logs) / MILLION if len(gaps) > 1 else None,
    }  # fmt: skip


def faded(seen: Seen) -> dict[str, Value]:
    """Σ 0.5^(age / half-life), each weight in whole 2^-30."""
    bought, begun = ([row["occurred_at"] for row in rows] for rows in (seen.bought, seen.begun))
    out = {}
    for k, life in zip((1, 3, 6), seen.definitions.half_lives_days, strict=True):
        for name, instants in (("activity", seen.days), ("purchases", bought), ("interactions", begun)):
            weights = [math.floor(0.5 ** ((seen.as_of - at) / (life * DAY)) * 2**30 + 0.5) for at in instants]
            out[f"{name}_faded_{k}g"] = Fraction(sum(weights), 2**30)
    return out


def windowed(seen: Seen) -> dict[str, Value]:
    """Every column that is counted in each window and over all time."""
    unit, out = seen.definitions.minor_units, {}
    for window, days in [*((f"{days}d", days) for days in seen.definitions.windows_days), ("all", None)]:
        bought, begun = seen.since(seen.bought, days), seen.since(seen.begun, days)
        met, said = seen.since(seen.interactions, days), seen.since(seen.feedback, days)
        scores = seen.scores(said)
        values = {
            "active_days": seen.active(days), "purchases": len(bought), "interactions": len(begun),
            "amount": Fraction(sum(row["amount"] for row in bought), unit),
            "failed_payments": len(of_kind(seen.since(seen.transactions, days), "payment_failed")),
            "engaged_days": seen.engaged(days),
            "engaged_quantity": sum(Fraction(round((row["quantity"] or 0) * 1000), 1000) for row in begun),
            "response_rate": Fraction(len(of_kind(met, "opened", "clicked")) + 1, len(of_kind(met, "sent")) + 5),
            "leaving_intent": len(of_kind(met, "cancel_page", "downgrade_page")),
            "calls": len(of_kind(met, "call")), "complaints": len(of_kind(said, "complaint")),
            "satisfaction_mean": (sum(scores) + 1) / Fraction(len(scores) + 2),
            "silence": sum(row["score"] is None for row in of_kind(said, "csat", "nps", "review")),
        }  # fmt: skip
        out |= {f"{name}_{window}": value for name, value in values.items()}
    return out


def trend(seen: Seen) -> dict[str, Value]:
    half, out = Fraction(1, 2), {}
    span = seen.age(seen.days[0]) + Fraction(seen.definitions.base_gap_us, DAY)
    for days in seen.definitions.windows_days:
        near, before, far = seen.active(days), seen.active(2 * days, days), seen.active(4 * days)
        met, met_far = (len(seen.since(seen.begun, times * days)) for times in (1, 4))
        expected = days * (len(seen.days) + 1) / span
        windows = seen.since(seen.bought, days), seen.since(seen.bought, 2 * days, days)
        money, earlier = (sum(row["amount"] for row in rows) / seen.definitions.minor_units for rows in windows)
        out |= {
            f"pace_{days}d": (near + half) / (Fraction(far, 4) + half),
            f"change_{days}d": Fraction(near - before, before + 1),
            f"surprise_{days}d": (near - expected) / math.sqrt(expected),
            f"engagement_pace_{days}d": (met + half) / (Fraction(met_far, 4) + half),
            f"amount_trend_{days}d": math.log1p(money) - math.log1p(earlier),
        }
    return out


def monetary(seen: Seen) -> dict[str, Value]:
    unit, refunds = seen.definitions.minor_units, of_kind(seen.transactions, "refund")
    amounts, off = [row["amount"] for row in seen.bought], sum(row["discount"] or 0 for row in seen.bought)
    whole = [(2 * amount + unit) // (2 * unit) for amount in amounts]
    # Of equal instants the larger.
    last = max((row["amount"] for row in seen.bought if row["occurred_at"] == newest(seen.bought)), default=None)
    return {
        "amount_mean": over(mean(amounts), unit), "amount_last_over_mean": over(last, mean(amounts)),
        "amount_max": Fraction(max(amounts), unit) if amounts else None,
        "amount_cv": over(spread(whole), mean(whole)),
        "discount_share": over(Fraction(off), off + sum(amounts)),
        "refund_share": Fraction(len(refunds), len(amounts) + 1), "recency_refund": seen.age(newest(refunds)),
        "amount_percentile": Fraction(sum(sum(amounts) >= cut for cut in seen.base.amount_quantiles), 20),
        "breadth": len({row["category"] for row in seen.bought} - {None}),
    }  # fmt: skip


def satisfaction(seen: Seen) -> dict[str, Value]:
    answers = [row for row in seen.feedback if seen.scores([row])]
    complaints, scores = of_kind(seen.feedback, "complaint"), seen.scores(answers)
    answered = newest(answers, "answered_at")
    last = min(seen.scores([row for row in answers if row["answered_at"] == answered]), default=None)
    resolved = [row for row in complaints if row["resolved_at"] is not None]
    taken = [(row["resolved_at"] - row["occurred_at"]) // MINUTE for row in resolved]
    complained = newest(complaints)
    return {
        "satisfaction_last": last, "satisfaction_age": seen.age(answered), "satisfaction_min": min(scores, default=None),
        "satisfaction_low_share": Fraction(sum(score < Fraction(1, 2) for score in scores), len(scores) + 1),
        "satisfaction_change": None if last is None else last - mean(scores),
        "complaints_open": len(complaints) - len(taken), "recency_complaint": seen.age(complained),
        "hours_to_resolve": over(mean(taken), 60),
        "unrecovered": None if complained is None else complained >= seen.days[-1],
    }  # fmt: skip


def cover(seen: Seen) -> dict[str, Value]:
    names = ("days_left", "auto_renews", "cancelled", "term_days", "price_per_day", "cancelled_ending", "renewal_ahead")
    begun = {"terms": sum(term["starts_at"] <= seen.as_of for term in seen.contracts)}
    running = [term for term in seen.contracts if term["starts_at"] <= seen.as_of < term["ends_at"]]
    if not running:
        return begun | dict.fromkeys(names)
    end = max(term["ends_at"] for term in running)
    left, renews = Fraction(end - seen.as_of, DAY), any(term["auto_renew"] for term in running)
    cancelled = any(term["cancelled_at"] is not None for term in running if term["ends_at"] == end)
    length = Fraction(max(term["ends_at"] - term["starts_at"] for term in running), DAY)
    price = max((term["price"] for term in running if term["price"] is not None), default=None)
    a_day, soon = over(price, seen.definitions.minor_units * length), left <= seen.definitions.horizon_days
    values = (left, renews, cancelled, length, a_day, soon and cancelled, soon and not renews)
    return begun | dict(zip(names, values, strict=True))
