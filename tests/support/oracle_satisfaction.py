"""The oracle's answers, silences and complaints: slowly and obviously, as oracle.py says it is
written.
"""

from __future__ import annotations

import math
from collections import defaultdict
from fractions import Fraction
from typing import Any

from tests.support.oracle import DAY, MINUTE, Row, of_kind

MILLION = 10**6
SURVEYS = ("csat", "nps", "review")
Value = float | Fraction | None


def feedback(seen: Any, everybody: list[Row]) -> dict[str, Value]:
    """`everybody`: the feedback known of all customers, for the means of items."""
    return (
        answers(seen) | windowed(seen) | promoters(seen) | bias(seen, everybody) | complaints(seen)
    )


def score(row: Row, scales: tuple) -> Fraction | None:
    """0…1 on the scale declared for the kind, in whole millionths."""
    found = [(low, high) for kind, low, high in scales if kind == row["kind"]]
    if row["score"] is None or not found:
        return None
    [(low, high)] = found
    return Fraction(math.floor((row["score"] - low) / (high - low) * MILLION + 0.5), MILLION)


def given(seen: Any, *kinds: str) -> list[tuple[int, Fraction]]:
    """(when answered, score) of each answer, oldest first; of equal instants the lower is later."""
    rows = of_kind(seen.feedback, *kinds) if kinds else seen.feedback
    told = [(row["answered_at"], score(row, seen.definitions.scales)) for row in rows]
    return sorted([one for one in told if one[1] is not None], key=lambda one: (one[0], -one[1]))


def mean(values: list) -> Fraction | None:
    return Fraction(sum(values)) / len(values) if values else None


def answers(seen: Any) -> dict[str, Value]:
    scales = seen.definitions.scales
    answered = [row for row in seen.feedback if score(row, scales) is not None]
    surveys = sorted(of_kind(seen.feedback, *SURVEYS), key=lambda row: row["occurred_at"])
    until = max((row["occurred_at"] for row in surveys if row["score"] is not None), default=-1)
    taken = [(row["answered_at"] - row["occurred_at"]) // MINUTE for row in answered]
    lasts = {
        f"satisfaction_last_{kind}": [one for _, one in given(seen, kind)][-1:] for kind in SURVEYS
    }
    return {name: value[0] if value else None for name, value in lasts.items()} | {
        "satisfaction_slope": slope([one for _, one in given(seen)][-5:]),
        "hours_to_answer": mean([Fraction(minutes, 60) for minutes in taken]),
        "unanswered_streak": sum(
            row["occurred_at"] > until for row in surveys if row["score"] is None
        ),
        "review_mean": mean([one for _, one in given(seen, "review")]),
    }


def slope(scores: list[Fraction]) -> Fraction | None:
    if len(scores) < 3:
        return None
    middle, average = Fraction(len(scores) - 1, 2), mean(scores)
    top = sum((number - middle) * (one - average) for number, one in enumerate(scores))
    return top / sum((number - middle) ** 2 for number in range(len(scores)))


def windowed(seen: Any) -> dict[str, Value]:
    out = {}
    for window, days in [
        *((f"{days}d", days) for days in seen.definitions.windows_days),
        ("all", None),
    ]:
        sent = seen.since(of_kind(seen.feedback, *SURVEYS), days)
        answered = sum(row["score"] is not None for row in sent)
        out |= {
            f"answers_{window}": answered,
            f"answer_rate_{window}": Fraction(answered + 1, len(sent) + 2),
        }
    return out


def promoters(seen: Any) -> dict[str, Value]:
    told, csat = [one for _, one in given(seen, "nps")], [one for _, one in given(seen, "csat")]
    promoter = mean([one >= Fraction(9, 10) for one in told])
    detractor = mean([one <= Fraction(6, 10) for one in told])
    both = promoter is not None
    return {
        "csat_top_share": mean([one >= Fraction(3, 4) for one in csat]),
        "nps_promoter_share": promoter,
        "nps_detractor_share": detractor,
        "nps_passive_share": 1 - promoter - detractor if both else None,
        "nps": promoter - detractor if both else None,
    }


def bias(seen: Any, everybody: list[Row]) -> dict[str, Value]:
    by_item, scales = defaultdict(list), seen.definitions.scales
    mine = {row["item"] for row in seen.feedback} - {None}
    for row in everybody:
        if row["item"] in mine and score(row, scales) is not None:
            by_item[row["item"]].append(score(row, scales))
    means = {
        item: Fraction(math.floor(mean(scores) * MILLION + Fraction(1, 2)), MILLION)
        for item, scores in by_item.items()
        if len(scores) >= 5
    }
    told = [(row["item"], score(row, scales)) for row in seen.feedback]
    return {
        "item_bias": mean(
            [one - means[item] for item, one in told if item in means and one is not None]
        )
    }


def complaints(seen: Any) -> dict[str, Value]:
    told = of_kind(seen.feedback, "complaint")
    still_open = [row["occurred_at"] for row in told if row["resolved_at"] is None]
    limit = Fraction(seen.definitions.resolve_within_hours) * DAY / 24
    times = [(row["resolved_at"] or seen.as_of) - row["occurred_at"] for row in told]
    judged = [
        row["resolved_at"] is not None and time <= limit
        for row, time in zip(told, times, strict=True)
        if row["resolved_at"] is not None or time > limit
    ]
    return {
        "complaints_repeated": sum(bool(before(row, told)) for row in told),
        "complaints_reopened": sum(closed_before(row, told) for row in told),
        "complaint_open_age": seen.age(min(still_open, default=None)),
        "complaints_resolved_share": mean([row["resolved_at"] is not None for row in told]),
        "purchased_after_resolution": recovered(seen, told),
        "complaints_within_sla_share": mean(judged),
    }


def before(row: Row, told: list[Row]) -> list[Row]:
    """Earlier complaints about the same topic."""
    if row["topic"] is None:
        return []
    return [
        one
        for one in told
        if one["topic"] == row["topic"] and one["occurred_at"] < row["occurred_at"]
    ]


def closed_before(row: Row, told: list[Row]) -> bool:
    closed = [one["resolved_at"] for one in before(row, told) if one["resolved_at"] is not None]
    return any(at < row["occurred_at"] for at in closed)


def recovered(seen: Any, told: list[Row]) -> bool | None:
    if not told:
        return None
    newest = max(row["occurred_at"] for row in told)
    closed = [row["resolved_at"] for row in told if row["occurred_at"] == newest]
    return None not in closed and any(row["occurred_at"] > max(closed) for row in seen.bought)
