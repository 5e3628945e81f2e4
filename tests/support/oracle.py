"""The oracle: what is known, stages and outcomes once more, slowly and obviously; features in
oracle_features.

Written from docs/architecture.md and the words of the feature functions, in plain Python over lists
of dicts: whole numbers and fractions wherever the definition is exact, floats only for roots,
logarithms and powers. A table is a list of rows, a row a dict in the contract's columns, an instant
µs UTC. `settings` and `definitions` are only read.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

MINUTE, DAY = 60_000_000, 86_400_000_000
FOREVER = 10**18
Row = dict[str, Any]
Tables = dict[str, list[Row]]


def local_day(instant: int, zone: str) -> int:
    """The calendar day in `zone`, in days since 1970-01-01."""
    local = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=instant)).astimezone(
        ZoneInfo(zone)
    )
    return (local.date() - date(1970, 1, 1)).days


def known(tables: Tables, as_of: int) -> Tables:
    """Rows with both clocks before as_of, the latest version of each, without the cells that became
    known later.
    """
    out = {}
    for name in tables.keys() - {"customers"}:
        rows = latest(name, [row for row in tables[name] if row["recorded_at"] < as_of])
        out[name] = [hidden(row, as_of) for row in rows if row.get("occurred_at", 0) < as_of]
    return out


def latest(name: str, rows: list[Row]) -> list[Row]:
    """Of rows that are versions of one thing, the one recorded last; what is voided is gone.

    A refund under its order's id is no version of the order, and a void withdraws both.
    """
    things: dict[Any, Row] = {}
    if name == "transactions":
        rows = [row for row in rows if not any(withdraws(other, row) for other in rows)]
    for number, row in enumerate(rows):
        thing: Any = number
        if name == "contracts":
            thing = (row["customer_id"], row["starts_at"], row["plan"])
        elif name == "transactions" and row["transaction_id"] is not None:
            refunded = row["occurred_at"] if is_refund(row) else None
            thing = (row["customer_id"], row["transaction_id"], refunded)
        if thing not in things or row["recorded_at"] > things[thing]["recorded_at"]:
            things[thing] = row
    return list(things.values())


def is_refund(row: Row) -> bool:
    return row["kind"] == "refund" or row["amount"] < 0


def withdraws(void: Row, row: Row) -> bool:
    """Whether a void takes a row with it, itself included; of a negative amount only refunds."""
    if void["kind"] != "void" or row["transaction_id"] is None:
        return void is row and row["kind"] == "void"
    same = all(void[key] == row[key] for key in ("customer_id", "transaction_id"))
    reached = void["amount"] >= 0 or is_refund(row)
    return same and reached and row["recorded_at"] <= void["recorded_at"]


def hidden(row: Row, as_of: int) -> Row:
    row = dict(row)
    for instant, came_with in (
        ("answered_at", ["score"]),
        ("resolved_at", []),
        ("cancelled_at", []),
    ):
        if row.get(instant) is not None and row[instant] >= as_of:
            row.update(dict.fromkeys([instant, *came_with]))
    return row


def of(customer: str, tables: Tables, name: str) -> list[Row]:
    return [row for row in tables.get(name, []) if row["customer_id"] == customer]


def of_kind(rows: list[Row], *kinds: str) -> list[Row]:
    return [row for row in rows if row["kind"] in kinds]


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
    """Where a customer stands by activity instants in time order, the clock at `at`, cover paid
    until `until`.
    """

    days: list[int]
    at: int
    definitions: Any
    until: int | None = None

    @property
    def streak(self) -> int:
        """Activities since the last own gap ≥ m₂·g, the one that closed it included."""
        streak, long = (
            1,
            Fraction(self.definitions.multiples[1])
            * usual_gap(self.days, self.definitions.population_mean_gap_us),
        )
        for gap in reversed(gaps_of(self.days)):
            if gap >= long:
                break
            streak += 1
        return streak

    @property
    def stage(self) -> tuple[str, str]:
        """Stage and rule: the first that fits."""
        overdue = (self.at - self.days[-1]) / usual_gap(
            self.days, self.definitions.population_mean_gap_us
        )
        n, streak = len(self.days), self.streak
        m1, m2, m3 = (Fraction(multiple) for multiple in self.definitions.multiples)
        rules = (
            ("churned", "no_cover", self.until is not None and self.until <= self.at),
            ("churned" if self.until is None else "dormant", "overdue_churned", overdue >= m3),
            ("dormant", "overdue_dormant", overdue >= m2),
            ("at_risk", "overdue_at_risk", overdue >= m1),
            ("new", "one_activity", n == 1),
            ("loyal", "regular", streak >= 4 or (n >= 4 and streak >= 2)),
            ("growing", "otherwise", True),
        )
        return next((stage, rule) for stage, rule, fits in rules if fits)


def states(tables: Tables, as_of: int, settings: Any, definitions: Any) -> dict[str, Row]:
    """customer -> stage, rule, s₀, eligible, n, streak …, for everybody with activity."""
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
            "stage": here.stage[0],
            "stage_rule": here.stage[1],
            "stage_if_inactive": idle,
            "eligible": eligible,
            "n": len(days),
            "streak": here.streak,
            "first_at": days[0],
            "last_at": days[-1],
            "cover_until": until,
        }
    return out


def outcomes(tables: Tables, as_of: int, settings: Any, definitions: Any) -> dict[str, Row]:
    """customer -> churned, outcome_stage, window_activities, for everybody with activity known at
    as_of.
    """
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
        stage = (
            "churned"
            if churned and settings.contractual
            else Standing(days, end, definitions, until).stage[0]
        )
        out[customer] = {"churned": churned, "outcome_stage": stage, "window_activities": len(new)}
    return out


def stays(terms: list[Row], as_of: int, end: int, grace: int) -> bool:
    """Walk the chain of terms: from the cover that runs at as_of, or the first one begun in the
    window, or one that undoes an end within grace, as far as each next term begins within grace of
    the cover so far. Who stays is carried past the window's end by a term of the chain not
    cancelled in the window; cover that ends then has ended (rule `no_cover`).
    """
    chain: list[Row] = []
    reach = max((term["ends_at"] for term in terms if term["ends_at"] <= as_of), default=None)
    for term in sorted(terms, key=lambda term: term["starts_at"]):
        renews = reach is not None and term["starts_at"] <= reach + grace
        if term["ends_at"] > as_of and (renews or (not chain and term["starts_at"] < end)):
            chain.append(term)
            reach = max(reach or 0, term["ends_at"])
        elif term["ends_at"] > as_of:
            break
    return any(
        term["ends_at"] > end and not as_of <= (term["cancelled_at"] or 0) < end for term in chain
    )
