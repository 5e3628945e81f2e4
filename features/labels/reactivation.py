"""Who comes back after a silence: by length of the wait, by rule, and by horizon. What a horizon is chosen from.

A wait begins with an activity and lasts until the next one, or is still open. Coming back is counted within a stated
number of days after a customer was called gone. Waits too young to know that are left out altogether, ended or not:
the quick returns among them would be seen and the slow ones not. They are counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa

from features.core.errors import ImmatureWindow
from features.core.instants import DAY_US, day_text
from features.core.settings import Settings
from features.labels.outcomes import mature, observe
from features.recipes.definitions import Definitions, learn_definitions
from features.recipes.stages import usual_gap
from features.tables.history import History, Known

DAYS = (30, 60, 90, 120, 180)
WITHIN_DAYS = 180
FEWEST = 30  # waits: where fewer are still observed a share is not told


@dataclass(frozen=True)
class Waits:
    """Every wait known at `as_of` (µs), arrays (waits,), in the order of customers and time.

    `began` (µs); `days` it lasted, up to as_of where it is open; `usual`: the customer's usual gap in days as known when
    it began; `ended`: whether activity ended it.
    """

    as_of: int
    began: np.ndarray
    days: np.ndarray
    usual: np.ndarray
    ended: np.ndarray


def waits(known: Known, definitions: Definitions) -> Waits:
    """Every wait of everybody known at `known.as_of`; empty arrays where nobody was active."""
    rows = known.activity.select("customer_id", "occurred_at", "position", "from_end")
    table = rows.sort("customer_id", "occurred_at").collect(backend="pyarrow").to_native()
    at, position = table["occurred_at"].to_numpy(), table["position"].to_numpy()
    ended = table["from_end"].to_numpy() > 1
    starts = np.flatnonzero(position == 1)
    first = np.repeat(at[starts], np.diff(np.append(starts, at.size)))
    usual = usual_gap(first=first, last=at, count=position, base_gap_us=definitions.base_gap_us)
    until = np.where(ended, np.append(at[1:], known.as_of)[: at.size], known.as_of)
    return Waits(known.as_of, at, (until - at) / DAY_US, usual / DAY_US, ended)


def still_quiet(found: Waits) -> tuple[np.ndarray, np.ndarray]:
    """(days, share): the share of waits that last longer than so many days, rising days, from (0, 1) on.

    Kaplan & Meier 1958: an open wait counts as long as it was watched. It ends where fewer than FEWEST are watched.
    """
    lengths, where = np.unique(found.days, return_inverse=True)
    ends = np.bincount(where, weights=found.ended, minlength=lengths.size)
    watched = found.days.size - np.cumsum(
        np.append(0, np.bincount(where, minlength=lengths.size)[:-1])
    )
    told = (watched >= FEWEST) & (ends > 0)
    share = np.cumprod(1 - ends[told] / watched[told])
    return np.append(0.0, lengths[told]), np.append(1.0, share)


def elbow(days: np.ndarray, share: np.ndarray) -> float | None:
    """The days where a falling curve lies deepest under the straight line between its ends; None for a line.

    Satopää et al. 2011. It moves with the length of the history: a place to look at, not a rule.
    """
    if days.size < 3 or share[0] == share[-1]:
        return None
    along = (days - days[0]) / (days[-1] - days[0])
    down = (share[0] - share) / (share[0] - share[-1])
    return float(days[np.argmax(down - along)])


def by_rule(
    found: Waits,
    *,
    multiples: Sequence[float],
    days: Sequence[int] = DAYS,
    within_days: int = WITHIN_DAYS,
) -> list[dict[str, Any]]:
    """Per rule (multiples of the usual gap, then fixed days): who was called gone by it, and who of them came back.

    `called`: waits that got so long; of these `too_young` ones, called less than within_days ago. Of the others the
    `median_days` of silence at which the rule called, how many `came_back` within within_days after it, and their
    `share`; None where there is none. A young rule of multiples has mostly quick customers among the others.
    """
    rules = [(f"{multiple:.2f} usual gaps", multiple * found.usual) for multiple in multiples]
    rules += [(f"{count} days", np.full(found.days.size, float(count))) for count in days]
    return [{"rule": name, **_came_back(found, quiet, within_days)} for name, quiet in rules]


def _came_back(found: Waits, quiet: np.ndarray, within_days: int) -> dict[str, Any]:
    called = found.days >= quiet
    old = called & ((found.as_of - found.began) / DAY_US >= quiet + within_days)
    back = old & found.ended & (found.days <= quiet + within_days)
    return {
        "median_days": float(np.median(quiet[old])) if old.any() else None,
        "called": int(called.sum()),
        "too_young": int((called & ~old).sum()),
        "came_back": int(back.sum()),
        "share": float(back.sum() / old.sum()) if old.any() else None,
    }


def by_horizon(
    history: History,
    settings: Settings,
    *,
    as_of: Sequence[int],
    days: Sequence[int] = DAYS,
    within_days: int = WITHIN_DAYS,
) -> pa.Table:
    """What each horizon would have called churn: a row per horizon, as_of and customer, the same dates for all.

    horizon_days, as_of (µs), customer_id, eligible (active within the horizon before as_of), recency_days, churned, and
    of the churned `came_back`: active within within_days after the window; null where it is too young to know, and for
    contracts, where renewals tell (`features.labels.grace`). ImmatureWindow where a horizon is not complete at a date.
    """
    _refuse_immature(history, _with(settings, max(days)), max(as_of))
    definitions = learn_definitions(history.as_of(min(as_of)), settings)
    parts = [
        _labelled(history, _with(settings, horizon), at, definitions, within_days)
        for horizon in days
        for at in as_of
    ]
    return pa.concat_tables(parts)


def _with(settings: Settings, horizon: int) -> Settings:
    churn = settings.churn.model_copy(update={"horizon_days": horizon, "eligible_days": None})
    return settings.model_copy(update={"churn": churn})


def _refuse_immature(history: History, settings: Settings, at: int) -> None:
    if not mature(at, history=history, settings=settings):
        raise ImmatureWindow(
            where=f"a horizon of {settings.churn.horizon_days} days",
            got=day_text(at, zone=settings.zone),
            rule="Its outcome window must be complete.",
            fix="Name earlier dates or shorter horizons.",
        )


def _labelled(
    history: History, settings: Settings, at: int, definitions: Definitions, within_days: int
) -> pa.Table:
    known, horizon = history.as_of(at), settings.churn.horizon_days
    definitions = replace(definitions, horizon_days=horizon)
    last = known.activity.group_by("customer_id").agg(last_at=nw.col("occurred_at").max())
    people = last.sort("customer_id").collect(backend="pyarrow").to_native()
    churned = (
        observe(history, known, definitions=definitions, settings=settings)
        .rows["churned"]
        .to_numpy()
    )
    quiet = (at - people["last_at"].to_numpy()) / DAY_US
    back, known_later = _after(history, settings, at, people["customer_id"], within_days)
    return pa.table(
        {
            "horizon_days": np.full(len(quiet), horizon),
            "as_of": np.full(len(quiet), at),
            "customer_id": people["customer_id"],
            "eligible": quiet <= settings.eligible_days,
            "recency_days": quiet,
            "churned": churned,
            "came_back": pa.array(back, mask=~(churned & known_later)),
        }
    )


def _after(
    history: History, settings: Settings, at: int, customers: pa.ChunkedArray, within_days: int
) -> tuple[np.ndarray, bool]:
    """(whether each was active within within_days after the window, whether that is known yet)."""
    begin = at + settings.churn.horizon_days * DAY_US
    end = begin + within_days * DAY_US
    seen = history.qualifying(history.cut(settings.activity.table, end))
    rows = seen.filter(nw.col("occurred_at") >= begin).select("customer_id").unique()
    back = set(rows.collect(backend="pyarrow").to_native()["customer_id"].to_pylist())
    told = np.array([customer in back for customer in customers.to_pylist()], dtype=bool)
    return told, end <= history.data_until and not settings.contractual
