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

from features.core.errors import NotEnoughData
from features.core.settings import Settings
from features.labels.later_money import observe_money
from features.labels.outcomes import is_mature, observe_outcomes
from features.recipes.definitions import learn_definitions
from features.tables.history import History, Known
from serving.campaigns.store import HELD_OUT
from training.campaigns.before import BEFORE, known_before
from training.campaigns.campaign_rows import clear_decisions, rows_of_table

OF_PLANS = ("risk", "value")


@dataclass(frozen=True)
class Arms:
    """The customers of a campaign with complete outcomes, and how many are left out, by why.

    kept and money (n,): outcomes; money, times [value] margin, is NaN where no table has it.
    before (n, k): `names`. action (n,): the action of the plan, '' where there is none. cost:
    spent on the treated; None where it is not known of all of them. named: whether somebody is
    named as held out; else everybody else stands for them.
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
    named: bool


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
    compared = pa.array([each for part in parts for each in part["treated"]], pa.string())
    cost = _cost(history, settings, every_row, compared, drawn=drawn)
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
        has_arms,
    )


def _cost(
    history: History, settings: Settings, rows: pa.Table, compared: pa.Array, *, drawn: bool
) -> float | None:
    """What was paid for those who are compared, in every row of theirs; None where it is not known.

    Of a plan: as the table treatments says, where it has rows of the campaign; else as expected.
    """
    unit = 1
    table = rows_of_table(history, rows["campaign"][0].as_py()) if drawn else rows
    if table is not None and table.num_rows:
        rows, unit = table, 10**settings.minor_digits
    paid = rows.filter(pc.is_in(rows["customer_id"], compared))
    return None if paid["cost"].null_count else float(pc.sum(paid["cost"]).as_py() or 0.0) / unit


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
    before = known_before(known, joined["customer_id"], at)
    names = [name for name in OF_PLANS if name in joined.column_names]
    scores = [joined[name].to_numpy(zero_copy_only=False) for name in names]
    ids, value = joined["customer_id"], settings.value
    # What is left of the money, as the value that an action was decided by.
    money = observe_money(history, known, ids, settings, in_margin=value.reads_margins)[:, 0]
    return {
        "is_treated": pc.not_equal(arm, HELD_OUT).to_numpy(),
        "kept": joined["kept"].to_numpy(),
        "money": money * value.margin_share,
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
