"""How much more trials are worth: `python -m benchmarks.trials [--only SET …] [--json]`.

Four data sets: the simulated shop and subscriptions (3,000 customers), online_retail and cdnow. One
search of 40 trials is continued step by step. After so many trials both models are fitted on the
training dates and score the evaluation date. The figure is the paired log loss less that of 40
trials, with its interval by customers. The default of `[training] trials` is the smallest number
whose mean difference, over sets and both models, is at most LIMIT. The last line is one JSON
object.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from features.core.config_schema import Training
from features.core.settings import Settings, load_settings
from features.tables.history import load_history
from lifecycle import simulation
from serving.scoring.scorer import stage_index
from training import fitting, metrics
from training.job import TrainingRun
from training.models.remembered_fits import remember_fits
from training.parallel import reproducible_fits

ROOT = Path(__file__).resolve().parents[1]
SETS = ("shop", "subscription", "online_retail", "cdnow")
TRIALS = (1, 2, 3, 5, 8, 12, 20, 40)
LIMIT = 0.0005
MODELS = ("churn", "next stage")
Losses = tuple[np.ndarray, np.ndarray]


def configuration(name: str, folder: Path) -> Path:
    if name in ("online_retail", "cdnow"):
        return ROOT / "examples" / f"{name}.toml"
    mode = "retail" if name == "shop" else name
    simulation.write(simulation.simulate(customers=3000, mode=mode), folder=folder)
    return folder / "lifecycle.toml"


def with_trials(settings: Settings, trials: int) -> Settings:
    """The settings with a search that `trials` alone bound."""
    training = settings.training.model_copy(update={"trials": trials, "seconds": 86_400.0})
    return settings.model_copy(update={"training": training})


def measure(name: str) -> dict[str, Any]:
    """{trials: {model: paired difference to the most trials}, "seconds": {trials: seconds}}."""
    with tempfile.TemporaryDirectory() as place:
        os.environ["LIFECYCLE_HOME"] = place
        settings = load_settings(configuration(name, Path(place)))
        history, _ = load_history(settings)
        run = TrainingRun(history, with_trials(settings, max(TRIALS)))
        losses, seconds = {}, {}
        with reproducible_fits(), remember_fits():
            for trials in TRIALS:
                began = time.monotonic()
                losses[trials] = losses_after(run, with_trials(settings, trials))
                seconds[trials] = round(time.monotonic() - began, 1)
                print(f"{name}: {trials} trials, {seconds[trials]} s", file=sys.stderr, flush=True)
        customers = np.array(run.eval_rows["customer_id"].to_pylist())
    return {"seconds": seconds} | {
        str(trials): {
            model: metrics.paired_difference(ours, most, customers)
            for model, ours, most in zip(MODELS, losses[trials], losses[max(TRIALS)], strict=True)
        }
        for trials in TRIALS
    }


def losses_after(run: TrainingRun, settings: Settings) -> Losses:
    """Log loss of churn and of the next stage on the evaluation rows, each (rows,)."""
    specs = fitting.search_models(run.train_rows, run.examples.modelled, settings)
    scorer = fitting.fitting_for(specs, run.examples, settings).fit_models(run.train_rows)
    p, p_next = scorer.score(run.eval_rows)
    outcome = stage_index(run.eval_rows["outcome_stage"].to_numpy())
    return (
        metrics.log_losses(run.eval_rows["churned"].to_numpy(), p),
        metrics.stage_log_losses(outcome, p_next),
    )


def figures(results: dict[str, Any]) -> dict[str, Any]:
    """The mean difference of the default, and the smallest number of trials within LIMIT."""
    means = {
        trials: float(
            np.mean([one[str(trials)][m]["difference"] for one in results.values() for m in MODELS])
        )
        for trials in TRIALS
    }
    default = Training().trials
    smallest = min(trials for trials in TRIALS if means[trials] <= LIMIT)
    difference = means.get(default, float("nan"))
    return {
        "mean_by_trials": {str(trials): round(mean, 6) for trials, mean in means.items()},
        "default_trials": {"value": default, "wanted": smallest, "holds": default == smallest},
        "default_less_40": {
            "value": round(difference, 6),
            "wanted": LIMIT,
            "holds": difference <= LIMIT,
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=SETS, nargs="+", default=SETS)
    parser.add_argument("--json", action="store_true", help="the last line alone")
    options = parser.parse_args()
    os.environ.setdefault("LIFECYCLE_DATA", str(ROOT.parent / "shared" / "data"))
    results = {}
    for name in options.only:
        results[name] = measure(name)
        print(json.dumps({name: results[name]}), file=sys.stderr, flush=True)
    if not options.json:
        print(json.dumps(results, indent=1))
    print(json.dumps(figures(results)))


if __name__ == "__main__":
    main()
