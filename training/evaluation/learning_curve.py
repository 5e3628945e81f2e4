"""From which size on is each model worth having? The found ingredients refitted on fewer customers, and on fewer dates.

Nothing is searched again, and every size is evaluated on the same later rows of all customers, beside the baselines
fitted on as few. Customers are taken by a hash of their id, so a smaller size lies inside every larger one. The
features' base (what others do) stays that of all customers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from features.core.errors import NotEnoughData
from features.core.progress import steps
from features.core.settings import Settings
from serving.scoring.scorer import Scorer, stage_index
from training import metrics
from training.evaluation import baselines
from training.examples import Examples
from training.models import churn
from training.plan import Plan

SHARES = (0.05, 0.1, 0.2, 0.4, 0.7, 1.0)
MODELS = {"churn": "churn", "next_stage": "next stage"}
WORDS = {"customers": "customers", "dates": "training dates"}


def curve(
    fit: Callable[[pa.Table], Scorer], made: Examples, dates: Plan, settings: Settings
) -> dict[str, Any]:
    """{"customers": points, "dates": points, "worth": …}; `fit` makes a scorer from labelled rows, without a search.

    A point: customers, dates, rows, and per model and population our log loss, the best baseline's (its name), and ours
    − theirs with its 95 % interval by customers; None where the rows are too few to fit on. `worth`: per model,
    population and axis the size from which on ours is better by more than its interval at every size; None if at none.
    """
    late = made.at(dates.evaluate)
    sizes = {
        "customers": [(share, len(dates.train)) for share in SHARES],
        "dates": [(1.0, count) for count in halvings(len(dates.train))],
    }
    known: dict[tuple[float, int], dict[str, Any]] = {}
    for share, count in steps(
        sorted({*sizes["customers"], *sizes["dates"]}), label="learning curve"
    ):
        rows = of_customers(made.at(dates.train[-count:]), share)
        known[share, count] = _point(fit, rows, late, made, settings) | {
            "share": share,
            "dates": count,
        }
    out: dict[str, Any] = {axis: [known[size] for size in each] for axis, each in sizes.items()}
    worth = {
        model: {
            who: {axis: _worth(out[axis], axis, model, who) for axis in sizes}
            for who in metrics.POPULATIONS
        }
        for model in MODELS
    }
    return out | {"worth": worth}


def halvings(count: int) -> list[int]:
    """1, 2, 4, … and `count`."""
    return sorted({*(2**k for k in range(count.bit_length()) if 2**k <= count), count})


def of_customers(rows: pa.Table, share: float) -> pa.Table:
    """The rows of about this share of customers, the same ones for equal ids, and all of them within any larger share."""
    ids = rows["customer_id"].to_pylist()
    inside = {name for name in set(ids) if _place(name) < share}
    return rows.filter(pa.array([name in inside for name in ids], pa.bool_()))


def _place(name: str) -> float:
    """Where a customer stands between 0 and 1; unrelated to the groups that are left out."""
    return int(hashlib.sha256(f"learning curve {name}".encode()).hexdigest()[:8], 16) / 2**32


def _point(
    fit: Callable[[pa.Table], Scorer],
    rows: pa.Table,
    late: pa.Table,
    made: Examples,
    settings: Settings,
) -> dict[str, Any]:
    out = {
        "customers": len(set(rows["customer_id"].to_pylist())),
        "rows": rows.num_rows,
        **dict.fromkeys(MODELS),
    }
    try:
        churn.refuse_too_few(rows, settings)
    except NotEnoughData:
        return out
    p, p_next = fit(rows).score(late)
    theirs = baselines.churn(rows, late, settings)
    their_stages = baselines.next_stage(
        rows, late, made.definitions, p_base=theirs["base rate"], p_logistic=theirs["RFM logistic"]
    )
    y, outcome = late["churned"].to_numpy(), stage_index(late["outcome_stage"].to_numpy())
    lost = {
        "churn": (
            metrics.losses(y, p),
            {name: metrics.losses(y, each) for name, each in theirs.items()},
        ),
        "next_stage": (
            metrics.stage_losses(outcome, p_next),
            {name: metrics.stage_losses(outcome, each) for name, each in their_stages.items()},
        ),
    }
    ids, eligible = (
        np.array(late["customer_id"].to_pylist(), dtype=str),
        late["eligible"].to_numpy(),
    )
    masks = {"everyone": np.ones(late.num_rows, dtype=bool), "eligible": eligible}
    told = {
        model: {who: _beside(*each, ids, mask) for who, mask in masks.items()}
        for model, each in lost.items()
    }
    return out | told


def _beside(
    ours: np.ndarray, theirs: Mapping[str, np.ndarray], ids: np.ndarray, mask: np.ndarray
) -> dict[str, Any] | None:
    """Our mean log loss beside that of the baseline that turned out best at this size; None where nobody is there."""
    if not mask.any():
        return None
    means = {name: float(each[mask].mean()) for name, each in theirs.items()}
    best = min(means, key=lambda name: (means[name], name))
    pair = metrics.paired(ours[mask], theirs[best][mask], ids[mask])
    return {
        "log_loss": float(ours[mask].mean()),
        "best_baseline": best,
        "best_baseline_log_loss": means[best],
        **pair,
    }


def _worth(points: list[dict[str, Any]], axis: str, model: str, who: str) -> int | None:
    """The smallest size from which on every larger one is better than the best baseline."""
    worth = None
    for point in reversed(points):
        found = (point[model] or {}).get(who)
        if found is None or found["high"] >= -metrics.SAME:
            break
        worth = point[axis]
    return worth


def lines(account: Mapping[str, Any]) -> list[str]:
    """What the command line says: per model the points, and the size from which it is worth having."""
    found = account.get("learning_curve")
    if not found:
        return []
    who = (
        "eligible"
        if any((point["churn"] or {}).get("eligible") for point in found["customers"])
        else "everyone"
    )
    out = [f"  learning curve ({who}; log loss, ours − the best baseline's)"]
    for model, words in MODELS.items():
        for axis, unit in WORDS.items():
            said = (_said(point, axis, model, who) for point in found[axis])
            worth = found["worth"][model][who][axis]
            verdict = "at no size" if worth is None else f"from {worth:,} {unit} on"
            out.append(
                f"    {words}, {unit}: {', '.join(said)}; better than the best baseline {verdict}"
            )
    return out


def _said(point: dict[str, Any], axis: str, model: str, who: str) -> str:
    one = (point[model] or {}).get(who)
    return f"{point[axis]:,} " + ("too few" if one is None else f"{one['difference']:+.4f}")
