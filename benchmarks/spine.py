"""The main figures on real data: `python -m benchmarks.spine [--only SET] [--json]`.

For each evaluation date everything (definitions, search, blend, calibration) is learned on earlier
dates only. The last line is one JSON object. Peak memory is that of the process.

`--out FILE` keeps the log losses of every row; `--against FILE` states how much those of today
differ from those of a file that another commit wrote (paired, intervals by customers).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from datetime import date
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the command line does

import numpy as np

from features.core import settings as settings_of
from features.tables import history as histories
from serving.scoring.scorer import stage_index
from training import job, metrics
from training.evaluation import baselines
from training.models.remembered_fits import remember_fits
from training.parallel import reproducible_fits

MOST_WORSE = 0.0005  # of log loss, the mean over the dates
ROOT = Path(__file__).resolve().parents[1]
DATA_SETS = {
    "online_retail": (
        "online_retail.toml",
        [date(2011, 7, 10), date(2011, 8, 10), date(2011, 9, 10)],
    ),
    "cdnow": ("cdnow.toml", [date(1998, 3, 31)]),
}


def measure(name: str, day: date) -> dict[str, Any]:
    """One data set and one evaluation date: p and next stage of our model and all baselines."""
    config, _ = DATA_SETS[name]
    settings = settings_of.load_settings(ROOT / "examples" / config)
    settings = settings.model_copy(
        update={"training": settings.training.model_copy(update={"evaluate": [day]})}
    )
    history, _ = histories.load_history(settings)
    run = job.TrainingRun(history, settings)
    with reproducible_fits(), remember_fits():
        dates, example_set, parts, scorer = run.plan, run.examples, run.specs, run.eval_scorer
    early, late = example_set.rows_at(dates.train), example_set.rows_at(dates.evaluate)
    p, p_next = scorer.score(late)
    theirs, stages = baselines.all_baselines(
        early,
        late,
        example_set.definitions,
        outcome_window_us=settings.outcome_window_us,
        contractual=settings.contractual,
    )
    return {
        "name": name,
        "day": day,
        "dates": len(dates.train),
        "weight": parts["churn"].weight,
        "customers": np.array(
            [f"{name}/{customer}" for customer in late["customer_id"].to_pylist()]
        ),
        "y": late["churned"].to_numpy(),
        "eligible": late["eligible"].to_numpy(),
        "p": {"ours": p, **theirs},
        "outcome": stage_index(late["outcome_stage"].to_numpy()),
        "next": {"ours": p_next, **stages},
    }


def churn_table(result: dict[str, Any]) -> dict[str, Any]:
    out = {}
    for who, mask in (
        ("everyone", np.ones(len(result["y"]), bool)),
        ("eligible", result["eligible"]),
    ):
        y = result["y"][mask]
        out[who] = {
            name: {
                "auroc": round(metrics.auroc(y, p[mask])[0], 4) if name != "base rate" else 0.5,
                "log_loss": round(float(metrics.log_losses(y, p[mask]).mean()), 4),
            }
            for name, p in result["p"].items()
        } | {"rows": len(y), "rate": round(float(y.mean()), 4)}
    return out


def stage_table(every: list[dict[str, Any]]) -> dict[str, Any]:
    """Pooled next-stage log loss, and ours − theirs with intervals by customers."""
    out = {}
    for who in metrics.POPULATIONS:
        masks = [np.ones(len(f["y"]), bool) if who == "everyone" else f["eligible"] for f in every]
        customers = np.concatenate([f["customers"][m] for f, m in zip(every, masks, strict=True)])
        lost = {
            name: np.concatenate(
                [
                    metrics.stage_log_losses(f["outcome"][m], f["next"][name][m])
                    for f, m in zip(every, masks, strict=True)
                ]
            )
            for name in every[0]["next"]
        }
        out[who] = {"rows": len(customers), "ours": round(float(lost["ours"].mean()), 4)}
        for name, theirs in lost.items():
            if name != "ours":
                pair = metrics.paired_difference(lost["ours"], theirs, customers)
                out[who][name] = {
                    "log_loss": round(float(theirs.mean()), 4),
                    **{k: round(v, 4) for k, v in pair.items()},
                }
    return out


def row_losses(every: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Of each set and date: customers, log loss of churn and of the next stage, each (rows,)."""
    out = {}
    for one in every:
        key = f"{one['name']} {one['day']}"
        out[f"{key} customers"] = one["customers"]
        out[f"{key} churn"] = metrics.log_losses(one["y"], one["p"]["ours"])
        out[f"{key} next stage"] = metrics.stage_log_losses(one["outcome"], one["next"]["ours"])
    return out


def compare(today: dict[str, np.ndarray], before: dict[str, np.ndarray]) -> dict[str, Any]:
    """Today's log loss less that before: by set and date, and the mean over them (`figures`)."""
    dates = [key.removesuffix(" churn") for key in today if key.endswith(" churn")]
    dates = [date for date in dates if f"{date} churn" in before]
    out: dict[str, Any] = {}
    for model in ("churn", "next stage"):
        pairs = {
            date: metrics.paired_difference(
                today[f"{date} {model}"], before[f"{date} {model}"], today[f"{date} customers"]
            )
            for date in dates
        }
        mean = float(np.mean([pair["difference"] for pair in pairs.values()]))
        # The dates are independent enough: the variance of a mean of means.
        spread = np.sqrt(sum(((p["high"] - p["low"]) / 2) ** 2 for p in pairs.values())) / len(
            pairs
        )
        out[f"{model} less before"] = {
            "value": round(mean, 5),
            "low": round(mean - float(spread), 5),
            "high": round(mean + float(spread), 5),
            "wanted": MOST_WORSE,
            "holds": mean <= MOST_WORSE,
            "dates": {date: round(pair["difference"], 5) for date, pair in pairs.items()},
        }
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=sorted(DATA_SETS))
    parser.add_argument("--json", action="store_true", help="the last line alone")
    parser.add_argument("--out", type=Path, help="keep the log losses of every row (.npz)")
    parser.add_argument("--against", type=Path, help="compare with log losses kept before (.npz)")
    arguments = parser.parse_args()
    began, every, out = time.monotonic(), [], {}
    for name in [arguments.only] if arguments.only else DATA_SETS:
        for day in DATA_SETS[name][1]:
            result = measure(name, day)
            every.append(result)
            out[f"{name} {day}"] = {
                "churn": churn_table(result),
                "train_dates": result["dates"],
                "next_stage": stage_table([result]),
                "booster_weight": round(result["weight"], 2),
            }
            if not arguments.json:
                print(f"{name} {day}", json.dumps(out[f"{name} {day}"], indent=1), flush=True)
    out["next_stage_pooled"] = stage_table(every)
    if arguments.out:
        np.savez(arguments.out, **row_losses(every))
    if arguments.against:
        out |= compare(row_losses(every), dict(np.load(arguments.against)))
    out["peak_rss_gb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2)
    out["seconds"] = round(time.monotonic() - began, 1)
    if not arguments.json:
        print("next stage, pooled", json.dumps(out["next_stage_pooled"], indent=1))
    print(json.dumps(out))


if __name__ == "__main__":
    main()
