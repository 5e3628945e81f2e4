"""From which size on is each model worth having? Refits on fewer customers and on fewer dates.

Nothing is searched again: the specs that the search found are refitted. Every size is evaluated on
the same later rows of all customers, next to baselines fitted on the same few rows. Customers are
chosen by a hash of their id, so a smaller size lies inside every larger one. The population
statistics in the features stay those of all customers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from features.core.errors import NotEnoughData
from features.core.language import join_words, mark, say, term
from features.core.progress import track_steps
from features.core.settings import Settings
from serving.scoring.scorer import Scorer, stage_index
from training import metrics
from training.evaluation import baselines
from training.examples import Examples
from training.models import churn
from training.plan import Plan

SHARES = (0.05, 0.1, 0.2, 0.4, 0.7, 1.0)
MODELS = {"churn": mark("churn"), "next_stage": mark("next stage")}
UNITS = {"customers": "customers", "dates": "training dates"}


def learning_curve(
    fit: Callable[[pa.Table], Scorer], examples: Examples, dates: Plan, settings: Settings
) -> dict[str, Any]:
    """{"customers": points, "dates": points, "better_from": …}.

    `fit` makes a scorer from labelled rows, without a search. A point has customers, dates, rows,
    and per model and population our log loss, that of the best baseline (with its name), and ours −
    its with the 95 % interval by customers; None where the rows are too few to fit on.
    `better_from`: per model, population and axis the smallest size from which on ours is better by
    more than its interval at every size; None if at none.
    """
    late = examples.rows_at(dates.evaluate)
    sizes = {
        "customers": [(share, len(dates.train)) for share in SHARES],
        "dates": [(1.0, count) for count in halvings(len(dates.train))],
    }
    points: dict[tuple[float, int], dict[str, Any]] = {}
    all_sizes = sorted({*sizes["customers"], *sizes["dates"]})
    for share, count in track_steps(all_sizes, label=say("learning curve")):
        rows = sample_customers(examples.rows_at(dates.train[-count:]), share)
        point = _point(fit, rows, late, examples, settings)
        points[share, count] = point | {"share": share, "dates": count}
    out: dict[str, Any] = {axis: [points[size] for size in each] for axis, each in sizes.items()}
    better_from = {
        model: {
            who: {axis: _better_from(out[axis], axis, model, who) for axis in sizes}
            for who in metrics.POPULATIONS
        }
        for model in MODELS
    }
    return out | {"better_from": better_from}


def halvings(count: int) -> list[int]:
    """1, 2, 4, … and `count`."""
    return sorted({*(2**k for k in range(count.bit_length()) if 2**k <= count), count})


def sample_customers(rows: pa.Table, share: float) -> pa.Table:
    """The rows of about this share of customers.

    The choice depends only on the ids, and lies inside that of any larger share.
    """
    ids = rows["customer_id"].to_pylist()
    inside = {name for name in set(ids) if _place(name) < share}
    return rows.filter(pa.array([name in inside for name in ids], pa.bool_()))


def _place(name: str) -> float:
    """A customer's number between 0 and 1, unrelated to the groups of `training.splits`."""
    return int(hashlib.sha256(f"learning curve {name}".encode()).hexdigest()[:8], 16) / 2**32


def _point(
    fit: Callable[[pa.Table], Scorer],
    rows: pa.Table,
    late: pa.Table,
    examples: Examples,
    settings: Settings,
) -> dict[str, Any]:
    """The models and baselines fitted on `rows`, evaluated on `late`."""
    out = {
        "customers": len(set(rows["customer_id"].to_pylist())),
        "rows": rows.num_rows,
        **dict.fromkeys(MODELS),
    }
    try:
        churn.refuse_too_few(rows)
    except NotEnoughData:
        return out
    scorer = fit(rows)
    theirs = baselines.better_baselines(
        rows,
        late,
        examples.definitions,
        outcome_window_us=settings.outcome_window_us,
        contractual=settings.contractual,
    )
    by_population = {
        "everyone": _losses(scorer, late, theirs["everyone"]),
        "eligible": _losses(scorer, late.filter(late["eligible"]), theirs["eligible"]),
    }
    return out | {
        model: {who: _compare(*losses[model]) for who, losses in by_population.items()}
        for model in MODELS
    }


Losses = tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]


def _losses(
    scorer: Scorer, late: pa.Table, theirs: baselines.PopulationBaselines
) -> dict[str, Losses]:
    """Per model (our log losses, those of each baseline, the customers) on the rows of `late`."""
    p, p_next = scorer.score(late)
    y, outcome = late["churned"].to_numpy(), stage_index(late["outcome_stage"].to_numpy())
    ids = np.array(late["customer_id"].to_pylist(), dtype=str)
    return {
        "churn": (
            metrics.log_losses(y, p),
            {name: metrics.log_losses(y, each) for name, each in theirs.churn.items()},
            ids,
        ),
        "next_stage": (
            metrics.stage_log_losses(outcome, p_next),
            {name: metrics.stage_log_losses(outcome, each) for name, each in theirs.stages.items()},
            ids,
        ),
    }


def _compare(
    ours: np.ndarray, theirs: Mapping[str, np.ndarray], ids: np.ndarray
) -> dict[str, Any] | None:
    """Our mean log loss and that of the baseline that is best at this size; None without rows."""
    if not len(ours):
        return None
    means = {name: float(each.mean()) for name, each in theirs.items()}
    best = min(means, key=lambda name: (means[name], name))
    return {
        "log_loss": float(ours.mean()),
        "best_baseline": best,
        "best_baseline_log_loss": means[best],
        **metrics.paired_difference(ours, theirs[best], ids),
    }


def _better_from(points: list[dict[str, Any]], axis: str, model: str, who: str) -> int | None:
    """The smallest size from which on every size is better than the best baseline."""
    smallest = None
    for point in reversed(points):
        comparison = (point[model] or {}).get(who)
        if comparison is None or comparison["high"] >= -metrics.NEGLIGIBLE:
            break
        smallest = point[axis]
    return smallest


def lines(evaluation: Mapping[str, Any]) -> list[str]:
    """The learning curve in words: per model the points, and from which size on it is better.

    Empty where the evaluation has none.
    """
    curve = evaluation.get("learning_curve")
    if not curve:
        return []
    has_eligible = any((point["churn"] or {}).get("eligible") for point in curve["customers"])
    who = "eligible" if has_eligible else "everyone"
    out = [
        say("  learning curve ({who}; log loss, ours − that of the best baseline)", who=term(who))
    ]
    for model, words in MODELS.items():
        for axis, unit in UNITS.items():
            points = join_words(_point_text(point, axis, model, who) for point in curve[axis])
            size = curve["better_from"][model][who][axis]
            named = {"model": say(words), "unit": term(unit), "points": points}
            if size is None:
                out.append(
                    say(
                        "    {model}, {unit}: {points}; better than the best baseline at no size",
                        **named,
                    )
                )
            else:
                out.append(
                    say(
                        "    {model}, {unit}: {points}; better than the best baseline from "
                        "{size:,} {unit} on",
                        **named,
                        size=size,
                    )
                )
    return out


def _point_text(point: dict[str, Any], axis: str, model: str, who: str) -> str:
    one = (point[model] or {}).get(who)
    figure = say("too few") if one is None else f"{one['difference']:+.4f}"
    return f"{point[axis]:,} {figure}"
