"""The oracle: customer features, stages and outcomes once more, slowly and obviously.

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
from typing import Any
from zoneinfo import ZoneInfo

MINUTE, DAY = 60_000_000, 86_400_000_000
FOREVER = 10**18
Row = dict[str, Any]
Tables = dict[str, list[Row]]
Value = float | Fraction | None


def local_day(instant: int, zone: str) -> int:
    """The calendar day in `zone`, in days since 1970-01-01."""
    local = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=instant)).astimezone(ZoneInfo(zone))
    return (local.date() - date(1970, 1, 1)).days


# What is known


def known(tables: Tables, as_of: int) -> Tables:
    """Rows with both clocks before as_of, the latest version of each, without the cells that became known later."""
    out = {}
    for name, rows in tables.items():
        if name != "customers":
            recorded = [row for row in rows if row["recorded_at"] < as_of]
            out[name] = [hidden(row, as_of) for row in latest(name, recorded) if row.get("occurred_at", 0) < as_of]
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


def activity(rows: list[Row], settings: Any) -> dict[str, dict[int, int]]:
    """customer -> local day -> the day's first event, of the kinds that are activity."""
    days: dict[str, dict[int, int]] = defaultdict(dict)
    for row in rows:
        if row["kind"] in settings.activity.kinds:
            mine, day = days[row["customer_id"]], local_day(row["occurred_at"], settings.zone)
            mine[day] = min(row["occurred_at"], mine.get(day, FOREVER))
    return dict(days)


def prospects(tables: Tables, as_of: int, settings: Any) -> list[str]:
    """Everybody known, less those with activity."""
    now = known(tables, as_of)
    everybody = {row["customer_id"] for rows in now.values() for row in rows}
    for row in tables.get("customers", []):
        since = row["valid_from"] if row["valid_from"] is not None else row["acquired_at"]
        if since is not None and since < as_of:
            everybody.add(row["customer_id"])
    return sorted(everybody - set(activity(now[settings.activity.table], settings)))


# Stages


@dataclass(frozen=True)
class Standing:
    n: int
    run: int
    overdue: Fraction
    stage: str
    rule: int


def gaps_of(days: list[int]) -> list[int]:
    return [later - earlier for earlier, later in zip(days, days[1:], strict=False)]


def usual_gap(days: list[int], base_gap: int) -> Fraction:
    gaps = gaps_of(days)
    return Fraction(2 * base_gap + sum(gaps), 2 + len(gaps))


def standing(days: list[int], at: int, definitions: Any, cover_until: int | None = None) -> Standing:
    """The stage rules over activity instants in time order, the clock at `at`."""
    g = usual_gap(days, definitions.base_gap_us)
    m1, m2, m3 = (Fraction(m) for m in definitions.multiples)
    n, run, overdue = len(days), 1, (at - days[-1]) / g
    for gap in reversed(gaps_of(days)):
        if gap >= m2 * g:
            break
        run += 1
    stage, rule = stage_of(n, run, overdue, (m1, m2, m3), cover_until, at)
    return Standing(n, run, overdue, stage, rule)


def stage_of(n: int, run: int, overdue: Fraction, multiples: tuple, cover_until: int | None, at: int) -> tuple[str, int]:
    m1, m2, m3 = multiples
    if cover_until is not None and cover_until <= at:
        return "churned", 1
    if overdue >= m3:
        return ("churned" if cover_until is None else "dormant"), 3
    if overdue >= m2:
        return "dormant", 4
    if overdue >= m1:
        return "at_risk", 5
    if n == 1:
        return "new", 6
    if run >= 4 or (n >= 4 and run >= 2):
        return "loyal", 7
    return "growing", 8


def cover_until(terms: list[Row], as_of: int) -> int | None:
    """Until when cover is paid, of the terms that have begun; None for who never had any."""
    return max((term["ends_at"] for term in terms if term["starts_at"] <= as_of), default=None)


def states(tables: Tables, as_of: int, settings: Any, definitions: Any) -> dict[str, dict[str, Any]]:
    """customer -> stage, rule, s₀, eligible, n, run, for everybody with activity."""
    now, out = known(tables, as_of), {}
    horizon = as_of + definitions.horizon_days * DAY
    for customer, by_day in activity(now[settings.activity.table], settings).items():
        days = sorted(by_day.values())
        until = cover_until(of(customer, now, "contracts"), as_of) if settings.contractual else None
        here = standing(days, as_of, definitions, until)
        if settings.contractual:
            idle, eligible = "churned", until is not None and until > as_of
        else:
            idle = standing(days, horizon, definitions).stage
            eligible = days[-1] >= as_of - settings.eligible_days * DAY
        out[customer] = {
            "stage": here.stage, "stage_rule": here.rule, "stage_if_inactive": idle, "eligible": eligible,
            "n": here.n, "run": here.run, "first_at": days[0], "last_at": days[-1], "cover_until": until,
        }  # fmt: skip
    return out


def of(customer: str, tables: Tables, name: str) -> list[Row]:
    return [row for row in tables.get(name, []) if row["customer_id"] == customer]


# Outcomes


def outcomes(tables: Tables, as_of: int, settings: Any, definitions: Any) -> dict[str, dict[str, Any]]:
    """customer -> churned, outcome_stage, window_activities, for everybody with activity known at as_of."""
    end = as_of + settings.churn.horizon_days * DAY
    then = known(tables, end + settings.churn.label_latency_days * DAY)
    name = settings.activity.table
    before = activity(known(tables, as_of)[name], settings)
    window = activity([row for row in then[name] if as_of <= row["occurred_at"] < end], settings)
    return {
        customer: outcome(
            by_day, window.get(customer, {}), as_of, settings, definitions, of(customer, then, "contracts")
        )
        for customer, by_day in before.items()
    }


def outcome(before: dict[int, int], window: dict[int, int], as_of: int, settings: Any, definitions: Any, terms: list[Row]):
    end = as_of + settings.churn.horizon_days * DAY
    new = {day: at for day, at in window.items() if day not in before}
    days = sorted([*before.values(), *new.values()])
    if settings.contractual:
        churned = not stays(terms, as_of, end, settings.churn.grace_days * DAY)
        stage = "churned" if churned else standing(days, end, definitions, FOREVER).stage
    else:
        churned = not new
        stage = standing(days, end, definitions).stage
    return {"churned": churned, "outcome_stage": stage, "window_activities": len(new)}


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
    return any(term["ends_at"] > end and not cancelled_within(term, as_of, end) for term in chain)


def cancelled_within(term: Row, start: int, end: int) -> bool:
    return term["cancelled_at"] is not None and start <= term["cancelled_at"] < end


def late_activity(tables: Tables, as_of: int, settings: Any) -> int:
    end = as_of + settings.churn.horizon_days * DAY
    then = known(tables, end + settings.churn.label_latency_days * DAY)[settings.activity.table]
    then = [row for row in then if row["kind"] in settings.activity.kinds]
    return sum(row["occurred_at"] < as_of <= row["recorded_at"] for row in then)


# Multiples


def spells(people: list[list[int]], as_of: int, horizon_days: int) -> tuple[int, list[Fraction], list[Fraction]]:
    """Base gap; completed gaps, and the open waits at as_of, over g as it was known before each."""
    gaps = [gap for days in people for gap in gaps_of(days)]
    base_gap = round(Fraction(sum(gaps), len(gaps))) if gaps else horizon_days * DAY
    closed = [
        (days[k] - days[k - 1]) / usual_gap(days[:k], base_gap) for days in people for k in range(1, len(days))
    ]  # fmt: skip
    waiting = [(as_of - days[-1]) / usual_gap(days, base_gap) for days in people]
    return base_gap, closed, waiting


def quantile(values: list, point: Fraction) -> Fraction:
    """With straight lines between the sorted values."""
    values = sorted(values)
    whole, part = divmod(point * (len(values) - 1), 1)
    above = values[min(int(whole) + 1, len(values) - 1)]
    return values[int(whole)] + part * (above - values[int(whole)])


def learned(closed: list[Fraction], waiting: list[Fraction]) -> tuple[Fraction, Fraction, Fraction]:
    if len(closed) < 500:
        return Fraction(2), Fraction(4), Fraction(8)
    m1 = max(Fraction(5, 4), quantile(closed, Fraction(80, 100)))
    m2 = max(m1 * 3 / 2, quantile(closed, Fraction(95, 100)))
    m3 = max(m2 * 3 / 2, quantile(closed, Fraction(99, 100)))
    while (came_back(closed, waiting, m3)[1] or 0) > Fraction(1, 10) and m3 + Fraction(1, 4) <= 4 * m2:
        m3 += Fraction(1, 4)
    return m1, m2, m3


def came_back(closed: list[Fraction], waiting: list[Fraction], m3: Fraction) -> tuple[int, Fraction | None]:
    """How many spells reached m3·g, and the share of them followed by activity."""
    back, out = sum(spell >= m3 for spell in closed), sum(spell >= m3 for spell in waiting)
    return back + out, Fraction(back, back + out) if back + out else None


# Features


@dataclass(frozen=True)
class Seen:
    """One customer with activity: `days` their activity instants in time order, `rows` their known rows by table."""

    as_of: int
    days: list[int]
    rows: Tables
    zone: str
    definitions: Any
    base: Any

    def age(self, instant: int | None) -> Fraction | None:
        return None if instant is None else Fraction(self.as_of - instant, DAY)

    def since(self, rows: list[Row], days: float | None, until: float = 0) -> list[Row]:
        """Those of the window [as_of − days, as_of − until)."""
        return [r for r in rows if (days is None or self.age(r["occurred_at"]) <= days) and self.age(r["occurred_at"]) > until]

    def active(self, days: float | None, until: float = 0) -> int:
        return len(self.since([{"occurred_at": day} for day in self.days], days, until))

    def faded(self, instants: list[int], half_life: float) -> Fraction:
        """Σ 0.5^(age / half-life), each weight in whole 2^-30."""
        weights = (math.floor(0.5 ** ((self.as_of - at) / (half_life * DAY)) * 2**30 + 0.5) for at in instants)
        return Fraction(sum(weights), 2**30)

    @property
    def windows(self) -> list[tuple[str, int | None]]:
        return [*((f"{days}d", days) for days in self.definitions.windows_days), ("all", None)]

    @property
    def half_lives(self) -> list[tuple[str, float]]:
        return list(zip(("1g", "3g", "6g"), self.definitions.half_lives_days, strict=True))


def features(tables: Tables, as_of: int, settings: Any, definitions: Any, base: Any) -> dict[str, dict[str, Value]]:
    """customer -> column -> value. Without `pace_all`, whose formula its docstring does not state."""
    now, out = known(tables, as_of), {}
    for customer, by_day in activity(now[settings.activity.table], settings).items():
        rows = {name: of(customer, now, name) for name in ("transactions", "interactions", "feedback", "contracts")}
        seen = Seen(as_of, sorted(by_day.values()), rows, settings.zone, definitions, base)
        families = (recency, rhythm, purchase_model, frequency, monetary, trend, engagement, satisfaction, cover)
        out[customer] = {name: value for family in families for name, value in family(seen).items()}
    return out


def over(top: Value, bottom: Value) -> Value:
    return None if top is None or bottom is None or bottom == 0 else top / bottom


def mean(values: list) -> Fraction | None:
    return Fraction(sum(values)) / len(values) if values else None


def spread(values: list) -> float | None:
    """Sample standard deviation."""
    if len(values) < 2:
        return None
    return math.sqrt(sum((value - mean(values)) ** 2 for value in values) / (len(values) - 1))


def newest(rows: list[Row]) -> int | None:
    return max((row["occurred_at"] for row in rows), default=None)


def of_kind(rows: list[Row], *kinds: str) -> list[Row]:
    return [row for row in rows if row["kind"] in kinds]


def theirs(seen: Seen) -> list[Row]:
    """Interactions the customer began."""
    return [row for row in seen.rows["interactions"] if row["kind"] != "sent"]


def recency(seen: Seen) -> dict[str, Value]:
    wait, tenure = seen.age(seen.days[-1]), seen.age(seen.days[0])
    anything = seen.rows["transactions"] + theirs(seen)
    return {
        "recency": wait,
        "tenure": tenure,
        "active_life": tenure - wait,
        "dormant_share": over(wait, tenure),
        "recency_interaction": seen.age(newest(theirs(seen))),
        "recency_visit": seen.age(newest(of_kind(theirs(seen), "visit", "login", "usage"))),
        "recency_any": seen.age(newest(anything)),
    }


def rhythm(seen: Seen) -> dict[str, Value]:
    exact, wait = gaps_of(seen.days), seen.as_of - seen.days[-1]
    # Reals are scaled to whole numbers per row: a gap counts in whole minutes, and at least one.
    gaps = [max(1, gap // MINUTE) for gap in exact]
    mean_gap, sd, minutes = mean(gaps), spread(gaps), Fraction(wait, MINUTE)
    g = usual_gap(seen.days, seen.definitions.base_gap_us)
    logs = [math.floor(math.log(gap) * 10**6 + 0.5) for gap in gaps]
    return {
        "overdue": wait / g,
        "usual_gap": g / DAY,
        "recency_over_longest_gap": over(minutes, max(gaps, default=None)),
        "gaps_outlasted": Fraction(1 + sum(gap < wait for gap in exact), 2 + len(gaps)),
        "gap_mean": over(mean_gap, 1440),
        "gap_median": quantile(gaps, Fraction(1, 2)) / 1440 if gaps else None,
        "gap_cv": over(sd, mean_gap),
        "gap_z": None if sd is None else (minutes - mean_gap) / max(sd, 1440),
        "gap_last": Fraction(gaps[-1], 1440) if gaps else None,
        "gap_last_over_mean": over(gaps[-1], mean_gap) if gaps else None,
        "gap_mean_recent": over(mean(gaps[-5:]), 1440),
        "regularity": math.log(mean_gap) - sum(logs) / (len(gaps) * 10**6) if len(gaps) >= 2 else None,
    }


def purchase_model(seen: Seen) -> dict[str, Value]:
    """Fader, Hardie & Lee 2005, equations 7 and 8."""
    model, x = seen.base, len(seen.days) - 1
    age, last = float(seen.age(seen.days[0])), (seen.days[-1] - seen.days[0]) / DAY
    quiet = ((model.alpha + age) / (model.alpha + age + seen.definitions.horizon_days)) ** (model.r + x)
    alive = 1.0
    if x > 0:
        odds = model.a / (model.b + x - 1) * ((model.alpha + age) / (model.alpha + last)) ** (model.r + x)
        alive = 1 / (1 + odds)
    return {"p_no_activity": 1 - alive * (1 - quiet)}


def faded(seen: Seen) -> dict[str, Value]:
    bought = [row["occurred_at"] for row in of_kind(seen.rows["transactions"], "purchase")]
    met = [row["occurred_at"] for row in theirs(seen)]
    what = {"activity_faded": seen.days, "purchases_faded": bought, "interactions_faded": met}
    times = zip((1, 3, 6), seen.definitions.half_lives_days, strict=True)
    return {f"{name}_{k}g": seen.faded(instants, life) for k, life in times for name, instants in what.items()}


def windowed(seen: Seen) -> dict[str, Value]:
    """Every column that is counted in each window and over all time."""
    unit, out = seen.definitions.minor_units, {}
    for window, days in [*((f"{days}d", days) for days in seen.definitions.windows_days), ("all", None)]:
        bought, met, said = (seen.since(seen.rows[name], days) for name in ("transactions", "interactions", "feedback"))
        begun, purchases, scores = of_begun(met), of_kind(bought, "purchase"), scaled(seen, said)
        values = {
            "active_days": seen.active(days),
            "purchases": len(purchases),
            "amount": Fraction(sum(row["amount"] for row in purchases), unit),
            "failed_payments": len(of_kind(bought, "payment_failed")),
            "interactions": len(begun),
            "engaged_days": engaged_days(seen, days),
            "engaged_quantity": Fraction(sum(round(row["quantity"] * 1000) for row in begun if row["quantity"] is not None), 1000),
            "response_rate": Fraction(len(of_kind(met, "opened", "clicked")) + 1, len(of_kind(met, "sent")) + 5),
            "leaving_intent": len(of_kind(met, "cancel_page", "downgrade_page")),
            "calls": len(of_kind(met, "call")),
            "satisfaction_mean": (sum(scores) + 1) / Fraction(len(scores) + 2),
            "silence": sum(row["kind"] in ("csat", "nps", "review") and row["score"] is None for row in said),
            "complaints": len(of_kind(said, "complaint")),
        }  # fmt: skip
        out |= {f"{name}_{window}": value for name, value in values.items()}
    return out


def trend(seen: Seen) -> dict[str, Value]:
    half, unit, out = Fraction(1, 2), seen.definitions.minor_units, {}
    span = seen.age(seen.days[0]) + Fraction(seen.definitions.base_gap_us, DAY)
    for days in seen.definitions.windows_days:
        near, before, far = seen.active(days), seen.active(2 * days, days), seen.active(4 * days)
        met, met_far = (len(seen.since(theirs(seen), times * days)) for times in (1, 4))
        expected = days * (len(seen.days) + 1) / span
        bought = of_kind(seen.rows["transactions"], "purchase")
        money, earlier = (sum(row["amount"] for row in rows) / unit for rows in (seen.since(bought, days), seen.since(bought, 2 * days, days)))
        out |= {
            f"pace_{days}d": (near + half) / (Fraction(far, 4) + half),
            f"change_{days}d": Fraction(near - before, before + 1),
            f"surprise_{days}d": (near - expected) / math.sqrt(expected),
            f"engagement_pace_{days}d": (met + half) / (Fraction(met_far, 4) + half),
            f"amount_trend_{days}d": math.log1p(money) - math.log1p(earlier),
        }  # fmt: skip
    return out


def frequency(seen: Seen) -> dict[str, Value]:
    base, tenure = Fraction(seen.definitions.base_gap_us, DAY), seen.age(seen.days[0])
    periods = sum(seen.active(float_free(base * (k + 1)), base * k) > 0 for k in range(12))
    # As above: instants in whole minutes before they are summed.
    ages = [seen.as_of // MINUTE - day // MINUTE for day in seen.days]
    return {
        "mean_age": mean(ages) / 1440,
        "active_periods": Fraction(periods, 12),
        "activity_rate": len(seen.days) / max(tenure, base),
    }


def monetary(seen: Seen) -> dict[str, Value]:
    rows, unit = seen.rows["transactions"], seen.definitions.minor_units
    bought, refunds = of_kind(rows, "purchase"), of_kind(rows, "refund")
    amounts = [row["amount"] for row in bought]
    whole = [(2 * amount + unit) // (2 * unit) for amount in amounts]
    last = max((row["amount"] for row in bought if row["occurred_at"] == newest(bought)), default=None)
    off = sum(row["discount"] or 0 for row in bought)
    return {
        "amount_mean": over(mean(amounts), unit),
        "amount_last_over_mean": over(last, mean(amounts)),
        "amount_max": over(Fraction(max(amounts)), unit) if amounts else None,
        "amount_cv": over(spread(whole), mean(whole)),
        "discount_share": over(Fraction(off), off + sum(amounts)),
        "refund_share": Fraction(len(refunds), len(bought) + 1),
        "recency_refund": seen.age(newest(refunds)),
        "amount_percentile": Fraction(sum(sum(amounts) >= cut for cut in seen.base.amount_quantiles), 20),
        "breadth": len({row["category"] for row in bought} - {None}),
    }


def engaged_days(seen: Seen, days: int | None) -> int:
    return len({local_day(row["occurred_at"], seen.zone) for row in seen.since(theirs(seen), days)})


def engagement(seen: Seen) -> dict[str, Value]:
    met = theirs(seen)
    return {
        "stickiness": (engaged_days(seen, 7) + Fraction(7, 30)) / (engaged_days(seen, 30) + 1),
        "interactions_since_activity": sum(row["occurred_at"] > seen.days[-1] for row in met),
        "channel_spread": Fraction(len({row["channel"] for row in met} - {None}), len(met) + 1),
    }


def scaled(seen: Seen, rows: list[Row]) -> list[Fraction]:
    """Answered scores, 0…1 on the scale declared for their kind, in millionths."""
    scales = {kind: (low, high) for kind, low, high in seen.definitions.scales}
    answers = [row for row in rows if row["score"] is not None and row["kind"] in scales]
    shares = [(row["score"] - scales[row["kind"]][0]) / (scales[row["kind"]][1] - scales[row["kind"]][0]) for row in answers]
    return [Fraction(math.floor(share * 10**6 + 0.5), 10**6) for share in shares]


def satisfaction(seen: Seen) -> dict[str, Value]:
    rows = seen.rows["feedback"]
    complaints, scores = of_kind(rows, "complaint"), scaled(seen, rows)
    answered = max((row["answered_at"] for row in rows if scaled(seen, [row])), default=None)
    last = min(scaled(seen, [row for row in rows if row["answered_at"] == answered]), default=None)
    resolved = [(row["resolved_at"] - row["occurred_at"]) // MINUTE for row in complaints if row["resolved_at"] is not None]
    complained = newest(complaints)
    return {
        "satisfaction_last": last,
        "satisfaction_age": seen.age(answered),
        "satisfaction_min": min(scores, default=None),
        "satisfaction_low_share": Fraction(sum(score < Fraction(1, 2) for score in scores), len(scores) + 1),
        "satisfaction_change": None if last is None else last - mean(scores),
        "complaints_open": len(complaints) - len(resolved),
        "recency_complaint": seen.age(complained),
        "hours_to_resolve": over(mean(resolved), 60),
        "unrecovered": None if complained is None else Fraction(complained >= seen.days[-1]),
    }


def cover(seen: Seen) -> dict[str, Value]:
    names = ("days_left", "auto_renews", "cancelled", "term_days", "price_per_day", "cancelled_ending", "renewal_ahead")
    terms = seen.rows["contracts"]
    begun = {"terms": sum(term["starts_at"] < seen.as_of for term in terms)}
    running = [term for term in terms if term["starts_at"] <= seen.as_of < term["ends_at"]]
    if not running:
        return begun | dict.fromkeys(names)
    end = max(term["ends_at"] for term in running)
    soon = end - seen.as_of <= seen.definitions.horizon_days * DAY
    renews = any(term["auto_renew"] for term in running)
    cancelled = any(term["cancelled_at"] is not None for term in running if term["ends_at"] == end)
    length = Fraction(max(term["ends_at"] - term["starts_at"] for term in running), DAY)
    price = max((term["price"] for term in running if term["price"] is not None), default=None)
    values = (Fraction(end - seen.as_of, DAY), renews, cancelled, length, over(price, seen.definitions.minor_units * length), soon and cancelled, soon and not renews)
    return begun | dict(zip(names, values, strict=True))
