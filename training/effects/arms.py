"""The customers of a campaign: in which arm they were, what was known before, and what came.

Of a campaign that `lifecycle decide` drew, the plan has the arms; of another one, the table
treatments. Outcomes are those of the labels, from the instant of each decision on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.core.errors import BadSetting, NotEnoughData
from features.core.instants import DAY_US
from features.core.settings import Settings
from features.labels.later_money import observe_money
from features.labels.outcomes import is_mature, observe_outcomes
from features.recipes.definitions import learn_definitions
from features.tables.history import History, Known
from serving.campaigns import store as campaigns
from serving.campaigns.store import HELD_OUT

# What is known of everybody before a decision, besides the scores of a plan.
BEFORE = ("recency_days", "activities", "days_since_first", "activities_90d")
OF_PLANS = ("risk", "value")
LEFT_OUT = (
    *("outcome not complete", "no stage at the decision", "arm not known", "in both arms"),
    *("of a decision with one arm", "contact after the horizon"),
)


@dataclass(frozen=True)
class Arms:
    """The customers of a campaign with complete outcomes, and how many are left out, by why.

    kept and money (n,): outcomes; money is NaN where no table has it. before (n, k): `names`.
    action (n,): the action of the plan, '' where there is none. cost: spent on the
    treated; None where it is not known of all of them.
    """

    is_treated: np.ndarray
    kept: np.ndarray
    money: np.ndarray
    strata: list[str]
    action: list[str]
    before: np.ndarray
    names: tuple[str, ...]
    cost: float | None
    left_out: Mapping[str, int]
    drawn: bool


def campaign_rows(history: History, campaign: str) -> tuple[pa.Table, bool]:
    """The rows of a campaign in the columns of a plan, and whether a plan drew its arms.

    recorded_at is the decision: no later than the contact.
    """
    if campaign in campaigns.list_campaigns():
        return campaigns.read_campaign(campaign).plan, True
    table = history.as_of(history.data_until).further.get("treatments")
    names = ["customer_id", "occurred_at", "recorded_at", "campaign", "arm", "action", "cost"]
    rows = None if table is None else table.select(*names).collect(backend="pyarrow").to_native()
    rows = None if rows is None else rows.filter(pc.equal(rows["campaign"], campaign))
    if rows is None or not rows.num_rows:
        raise BadSetting(
            where="--campaign",
            got="a campaign that nobody decided",
            rule="A campaign is one of `lifecycle decide`, or one in the table treatments.",
            fix="`lifecycle measure` without --campaign names them all.",
            values=[campaign],
        )
    # A decision that was written down after the contact was made before it.
    begins = pc.min_element_wise(rows["recorded_at"], rows["occurred_at"])
    return rows.set_column(rows.column_names.index("recorded_at"), "recorded_at", begins), False


def campaigns_of_table(history: History) -> list[str]:
    """The names in the table treatments, by name; none without it."""
    table = history.as_of(max(history.data_until, 0)).further.get("treatments")
    if table is None:
        return []
    rows = table.select("campaign").unique().collect(backend="pyarrow").to_native()
    return sorted(rows["campaign"].to_pylist())


def observe_arms(history: History, settings: Settings, rows: pa.Table, *, drawn: bool) -> Arms:
    """The outcomes of the customers of a campaign, each from the instant of the decision on.

    Where the table names nobody who was held out, everybody else is the other arm; `compare_arms`
    says what that is worth.
    """
    every_row = rows
    rows, left_out = clear_decisions(rows, settings)
    parts = []
    has_arms = drawn or bool(pc.any(pc.equal(rows["arm"], HELD_OUT)).as_py())
    for at in sorted(pc.unique(rows["recorded_at"]).to_pylist()):
        at_once = rows.filter(pc.equal(rows["recorded_at"], at))
        if not is_mature(at, history=history, settings=settings):
            left_out["outcome not complete"] += at_once.num_rows
            continue
        if has_arms and pc.count_distinct(at_once["arm"]).as_py() < 2:
            left_out["of a decision with one arm"] += at_once.num_rows
            continue
        part = _observe_at(history, settings, at_once, at, has_arms=has_arms)
        left_out["no stage at the decision"] += at_once.num_rows - part["named"]
        parts.append(part)
    if not parts:
        why = "; ".join(f"{count:,}: {reason}" for reason, count in left_out.items() if count)
        raise _not_complete(f"outcomes ({why})", settings)
    names = (*BEFORE, *(OF_PLANS if drawn else ()))
    # What was paid for those who are compared, in every row of theirs.
    compared = pa.array([each for part in parts for each in part["treated"]], pa.string())
    paid = every_row.filter(pc.is_in(every_row["customer_id"], compared))
    cost = None if paid["cost"].null_count else float(pc.sum(paid["cost"]).as_py() or 0.0)
    if not drawn and cost is not None:
        cost /= 10**settings.minor_digits
    return Arms(
        np.concatenate([each["is_treated"] for each in parts]),
        np.concatenate([each["kept"] for each in parts]),
        np.concatenate([each["money"] for each in parts]),
        [name for each in parts for name in each["strata"]],
        [name for each in parts for name in each["action"]],
        np.vstack([each["before"] for each in parts]),
        names,
        cost,
        left_out,
        drawn,
    )


def clear_decisions(rows: pa.Table, settings: Settings) -> tuple[pa.Table, dict[str, int]]:
    """One row of each customer whose arm is clear, and how many are left out, by LEFT_OUT.

    Without any arm all rows count as treated.
    """
    left_out = dict.fromkeys(LEFT_OUT, 0)
    known_arm = pc.is_valid(rows["arm"])
    if pc.any(known_arm).as_py():
        left_out["arm not known"] = rows.num_rows - pc.sum(known_arm).as_py()
        rows = rows.filter(known_arm)
    ahead = pc.subtract(rows["occurred_at"], rows["recorded_at"])
    in_time = pc.less(ahead, settings.churn.horizon_days * DAY_US)
    left_out["contact after the horizon"] = rows.num_rows - (pc.sum(in_time).as_py() or 0)
    rows, left_out["in both arms"] = _first_decisions(rows.filter(in_time))
    return rows, left_out


def _first_decisions(rows: pa.Table) -> tuple[pa.Table, int]:
    """The first row of each customer, and how many were left out: in both arms at one instant.

    A later row of a customer changes no arm.
    """
    rows = rows.sort_by([("recorded_at", "ascending"), ("customer_id", "ascending")])
    firsts: dict[str, tuple[int, set[str | None], int]] = {}
    cells = zip(
        *(rows[name].to_pylist() for name in ("customer_id", "recorded_at", "arm")), strict=True
    )
    for place, (customer, at, arm) in enumerate(cells):
        first = firsts.setdefault(customer, (at, set(), place))
        if first[0] == at:
            first[1].add(arm)
    clear = [place for _, arms, place in firsts.values() if len(arms) == 1]
    return rows.take(pa.array(sorted(clear), pa.int64())), len(firsts) - len(clear)


def observe_kept(history: History, settings: Settings, at: int) -> pa.Table:
    """customer_id and kept (1.0 or 0.0) of everybody with activity or cover at `at` (µs UTC).

    NotEnoughData where the outcomes are not complete.
    """
    if not is_mature(at, history=history, settings=settings):
        raise _not_complete("outcomes", settings)
    return _kept(history, settings, history.as_of(at))


def _kept(history: History, settings: Settings, known: Known) -> pa.Table:
    definitions = learn_definitions(known, settings)
    outcomes = observe_outcomes(history, known, definitions=definitions, settings=settings).rows
    kept = pc.subtract(1.0, outcomes["churned"].cast(pa.float64()))
    return outcomes.select(["customer_id"]).append_column("kept", kept)


def _not_complete(got: str, settings: Settings) -> NotEnoughData:
    days, latency = settings.churn.horizon_days, settings.churn.label_latency_days
    return NotEnoughData(
        where="outcomes",
        got=f"no complete {got}",
        rule=f"An outcome is complete {days} days after the decision, and {latency} more for late "
        "rows.",
        fix="Measure again with newer data.",
    )


def _observe_at(
    history: History, settings: Settings, rows: pa.Table, at: int, *, has_arms: bool
) -> dict[str, Any]:
    known = history.as_of(at)
    kind = "inner" if has_arms else "left outer"
    joined = _kept(history, settings, known).join(rows, "customer_id", join_type=kind)
    joined = joined.sort_by("customer_id")
    arm = pc.fill_null(joined["arm"], "treated")
    if not has_arms:
        arm = pc.if_else(pc.is_valid(joined["campaign"]), "treated", HELD_OUT)
    size = joined.num_rows
    before = _before(known, joined["customer_id"], at)
    names = [name for name in OF_PLANS if name in joined.column_names]
    scores = [joined[name].to_numpy(zero_copy_only=False) for name in names]
    money = observe_money(history, known, joined["customer_id"], settings)[:, 0]
    return {
        "is_treated": pc.not_equal(arm, HELD_OUT).to_numpy(),
        "kept": joined["kept"].to_numpy(),
        "money": money,
        "strata": _texts(joined, "stratum", size),
        "action": _texts(joined, "action", size),
        "before": np.column_stack([before, *scores]) if scores else before,
        "treated": joined["customer_id"].filter(pc.not_equal(arm, HELD_OUT)).to_pylist(),
        "named": pc.sum(pc.is_valid(joined["campaign"])).as_py() or 0,
    }


def _texts(rows: pa.Table, name: str, size: int) -> list[str]:
    if name not in rows.column_names:
        return [""] * size
    return pc.fill_null(rows[name], "").to_pylist()


def _before(known: Known, customers: pa.ChunkedArray, at: int) -> np.ndarray:
    """(n, 4): BEFORE, of what was known at the decision."""
    rows = known.activity.select("customer_id", "occurred_at")
    rows = rows.collect(backend="pyarrow").to_native()
    recent = pc.greater_equal(rows["occurred_at"], at - 90 * DAY_US).cast(pa.int64())
    rows = rows.append_column("recent", recent)
    counts = rows.group_by("customer_id").aggregate(
        [
            ("occurred_at", "max"),
            ("occurred_at", "min"),
            ("occurred_at", "count"),
            ("recent", "sum"),
        ]
    )
    places = pc.index_in(customers, counts["customer_id"].combine_chunks())
    last, first, count, late = (
        counts.take(places)[name].to_numpy(zero_copy_only=False).astype(float)
        for name in ("occurred_at_max", "occurred_at_min", "occurred_at_count", "recent_sum")
    )
    columns = [(at - last) / DAY_US, count, (at - first) / DAY_US, late]
    return np.column_stack([np.log1p(np.nan_to_num(each)) for each in columns])
