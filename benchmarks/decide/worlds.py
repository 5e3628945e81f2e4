"""Simulated shops after one logged campaign each: what is our next campaign worth, truly?

A model is trained on what was known before the campaign; the campaign teaches the effects; a later
day is decided without limits, by the effects or, where they are not served, by the acceptance that
the campaign shows. Judged by the true effects and the true probability of leaving, which are in no
table; the value of a customer who stays is that of the score for everybody. `best` knows the true
effects of each single customer, so also the mood that no table has. `knowable` is about what the
columns of the candidates tell: boosted trees learn the true profits themselves, without noise, from
three quarters of the customers, and decide for the others.
"""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.ensemble import HistGradientBoostingRegressor

from benchmarks.decide.cheap_campaigns import at_least
from features.core.action_schema import Acceptance
from features.core.instants import instant
from features.core.settings import load_settings
from features.indicators.indicator_data import IndicatorData
from features.tables.history import load_history
from lifecycle import simulation
from lifecycle.simulation.actions import ACTIONS, TRIAL
from serving.campaigns import store as campaigns
from serving.decisions.allocation_rows import NOTHING
from serving.decisions.candidates import load_candidates
from serving.decisions.plan import Rules, price_options
from training.effects.uplift import learn_campaign

FOLDER = Path(".benchmarks/decide")
LATER = date(2024, 10, 1)
SCORED = "scored"
KNOWABLE_FOLDS = 4
FAST = ("training.max_dates=4", "training.evaluate=[]", "training.trials=1")


def measure(customers: int, worlds: int) -> dict[str, Any]:
    results = [world(seed, customers) for seed in range(1, worlds + 1)]
    shares = [each["ours"] / each["best"] for each in results]
    better = sum(each["ours"] > each["top_decile"] for each in results)
    name = f"of_{customers}_customers"
    return {
        f"share_of_the_best_{name}": at_least(float(np.mean(shares)), 0.9)
        | {"worlds": worlds, "least": round(min(shares), 3), "largest": round(max(shares), 3)},
        f"better_than_the_top_decile_{name}": {
            "value": better,
            "wanted": f"≥ {round(0.9 * worlds)} of {worlds}",
            "holds": better >= 0.9 * worlds,
        },
        f"share_of_what_the_columns_tell_{name}": {
            "value": round(
                float(np.mean([each["ours"] / each["knowable"] for each in results])), 4
            ),
            "wanted": "for comparison",
            "holds": True,
        },
        f"share_by_acceptance_alone_{name}": {
            "value": round(float(np.mean([each["by_risk"] / each["best"] for each in results])), 4),
            "wanted": "for comparison",
            "holds": True,
        },
    }


def world(seed: int, customers: int) -> dict[str, float]:
    """The true profit of each way of sending; a world is simulated, trained and scored once."""
    folder = (FOLDER / f"world_{seed}_{customers}").resolve()
    os.environ["LIFECYCLE_HOME"] = str(folder / "home")
    if not (folder / SCORED).is_file():
        (folder / "home").mkdir(parents=True, exist_ok=True)
        score_world(seed, customers, folder)
        (folder / SCORED).touch()
    return profits(folder)


def score_world(seed: int, customers: int, folder: Path) -> None:
    business = simulation.simulate(customers=customers, seed=seed, actions=True)
    simulation.write(business, folder=folder)
    decided = business.tables["treatments"]["recorded_at"][0].as_py().date()
    settings = [
        part for text in (f"contract.data_until={decided}", *FAST) for part in ("--set", text)
    ]
    run("train", "-c", folder / "lifecycle.toml", *settings)
    run("promote")
    for day in (decided, LATER):
        run("score", "-c", folder / "lifecycle.toml", "--as-of", str(day))


def run(*arguments: object) -> None:
    command = [sys.executable, "-m", "lifecycle", *(str(each) for each in arguments), "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{arguments[0]}: {done.stderr}")


def profits(folder: Path) -> dict[str, float]:
    settings = load_settings(folder / "lifecycle.toml")
    history, _ = load_history(settings)
    learned = learn_campaign(history, settings, TRIAL)
    at = instant(LATER, zone=settings.zone)
    data = IndicatorData(history, settings, at)
    rows = load_candidates(data, campaigns.SCHEMA.empty_table()).rows
    data.close()
    true = true_profit(rows, folder)
    actions = {name: measured(each, learned) for name, each in settings.actions.items()}
    ours = choose(rows, Rules("next", actions, 0.0, None, 0, 0, effects=learned.model), at)
    by_risk = choose(rows, Rules("next", actions, 0.0, None, 0, 0), at)
    return {
        "best": float(np.maximum(true.max(axis=1), 0).sum()),
        "ours": gained(true, ours),
        "by_risk": gained(true, by_risk),
        "knowable": gained(true, learned_from_truth(rows, true)),
        "top_decile": max(gained(true, top_decile(rows, place)) for place in range(len(ACTIONS))),
        "served": float(len(learned.model.actions)),
    }


def measured(action: Any, learned: Any) -> Any:
    """The action with the acceptance that the campaign shows."""
    each = learned.actions[action_name(action)]
    mean = float(np.clip(each.mean / max(each.mean_risk, 1e-9), 0, 1))
    acceptance = Acceptance(mean=mean, n=each.n_treated + each.n_held_out)
    return action.model_copy(update={"acceptance": acceptance})


def action_name(action: Any) -> str:
    return next(each.name for each in ACTIONS if each.channel == action.channel)


def choose(rows: pa.Table, rules: Rules, at: int) -> np.ndarray:
    """The best action of each customer that pays, without any limit."""
    profit = np.nan_to_num(
        price_options(rows, campaigns.SCHEMA.empty_table(), rules, at).profit, nan=-np.inf
    )
    return np.where(profit.max(axis=1) > 0, profit.argmax(axis=1), NOTHING)


def learned_from_truth(rows: pa.Table, true: np.ndarray) -> np.ndarray:
    """The action of each customer by trees that learned the true profits of other customers."""
    known = np.flatnonzero(np.isfinite(true).all(axis=1))
    expected = np.full(true.shape, -np.inf)
    matrix = as_numbers(rows)
    for fold in range(KNOWABLE_FOLDS):
        inside = known[known % KNOWABLE_FOLDS == fold]
        rest = known[known % KNOWABLE_FOLDS != fold]
        for place in range(true.shape[1]):
            trees = HistGradientBoostingRegressor(
                max_iter=120, learning_rate=0.05, min_samples_leaf=40, random_state=0
            )
            expected[inside, place] = trees.fit(matrix[rest], true[rest, place]).predict(
                matrix[inside]
            )
    return np.where(expected.max(axis=1) > 0, expected.argmax(axis=1), NOTHING)


def as_numbers(rows: pa.Table) -> np.ndarray:
    """Every column that varies: numbers as they are, texts as codes."""
    columns = []
    for name in rows.column_names:
        values = rows[name].combine_chunks()
        if name == "customer_id" or pa.types.is_nested(values.type):
            continue
        if pa.types.is_string(values.type):
            values = values.dictionary_encode().indices
        numbers = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        if np.nanmin(numbers, initial=np.inf) < np.nanmax(numbers, initial=-np.inf):
            columns.append(numbers)
    return np.column_stack(columns)


def top_decile(rows: pa.Table, action: int) -> np.ndarray:
    """One action for the tenth of the eligible with the highest risk."""
    risk = np.where(rows["eligible"].to_numpy(zero_copy_only=False), rows["risk"].to_numpy(), -1)
    count = int((risk >= 0).sum()) // 10
    chosen = np.full(len(risk), NOTHING)
    chosen[np.argsort(-risk, kind="stable")[:count]] = action
    return chosen


def gained(true: np.ndarray, chosen: np.ndarray) -> float:
    rows = np.flatnonzero(chosen != NOTHING)
    return float(true[rows, chosen[rows]].sum())


def true_profit(rows: pa.Table, folder: Path) -> np.ndarray:
    """(customers, actions): π by the true effect and the true probability of leaving."""
    truth = pq.read_table(folder / "truth" / "truth.parquet").to_pandas()
    truth = truth[truth["as_of"] == LATER].set_index("customer_id")
    truth = truth.reindex(rows["customer_id"].to_pylist())
    leave, value = truth["p_leave"].to_numpy(), rows["value"].to_numpy()
    profits = []
    for action in ACTIONS:
        incentive, contact = action.incentive_cents / 100, action.contact_cents / 100
        effect = leave - truth[f"p_leave_{action.name}"].to_numpy()
        profits.append(effect * (value - incentive) - (1 - leave) * incentive - contact)
    return np.nan_to_num(np.column_stack(profits), nan=-np.inf)
