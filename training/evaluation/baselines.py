"""Baselines: simple scores fitted on the same training rows as the model.

Churn: base rate, recency, own past rate, RFM logistic, BG/NBD; with contracts also the renewal
rate (by how cover can end × plan × days left). Next stage: marginal, persistence, Markov (stage),
semi-Markov (stage × time in stage × n), hurdle (p on s₀, the rest by training frequency). The
scorer's floors and exact zeros hold for them too, so that none loses for a technical reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from features.core.instants import DAY_US
from features.recipes.definitions import Definitions
from features.recipes.stages import STAGES
from features.recipes.state_columns import recency_us, tenure_us
from serving.scoring.cannot_churn import COLUMNS, kinds
from serving.scoring.parts import sigmoid
from serving.scoring.scorer import (
    apply_floor,
    compose,
    inactive_index,
    reachable_from_rows,
    stage_index,
)
from training import metrics
from training.models import ridge

K = len(STAGES)
DAYS_LEFT = (3, 7, 14, 30, 60, 90, 180, 365)
PLAN = ("term_days", "auto_renews")  # the features that tell plans apart
PRIOR_ROWS = 10  # rows of the coarser cell added to each cell


def all_baselines(
    train: pa.Table,
    test: pa.Table,
    definitions: Definitions,
    *,
    outcome_window_us: int,
    contractual: bool,
    past: pa.Table | None = None,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Both kinds of baselines, fitted on `train`: P(churn) (rows,) and P(next stage) (rows, 7).

    `past`: as in `churn_baselines`.
    """
    churn = churn_baselines(
        train, test, outcome_window_us=outcome_window_us, contractual=contractual, past=past
    )
    stages = stage_baselines(
        train,
        test,
        definitions,
        p_base=churn["base rate"],
        p_logistic=churn["RFM logistic"],
    )
    return churn, stages


@dataclass(frozen=True)
class PopulationBaselines:
    """The baselines of one population's rows, each as fitted on the population where it is better.

    `churn` (rows,) and `stages` (rows, 7) by name; `churn_fitted_on` and `stages_fitted_on`: the
    population that each was fitted on.
    """

    churn: dict[str, np.ndarray]
    churn_fitted_on: dict[str, str]
    stages: dict[str, np.ndarray]
    stages_fitted_on: dict[str, str]


def better_baselines(
    train: pa.Table,
    test: pa.Table,
    definitions: Definitions,
    *,
    outcome_window_us: int,
    contractual: bool,
) -> dict[str, PopulationBaselines]:
    """The baselines of everyone and of the eligible, who are rows of the labelled `test`.

    Each baseline is fitted on all rows of `train` and again on the eligible ones, and each
    population is shown the one with the lower log loss on its rows: the rate of everybody says
    little of customers who are still active, and a rule learned from few rows may be worse than one
    learned from many. That this is known only in hindsight favours the baselines. The own past
    rate counts all labels of a customer. Where the eligible rows have one outcome there is one fit.
    """
    eligible = train.filter(train["eligible"])
    fits = {"everyone": train}
    if 0 < np.count_nonzero(eligible["churned"].to_numpy()) < eligible.num_rows:
        fits["eligible"] = eligible
    fitted = {
        who: all_baselines(
            rows,
            test,
            definitions,
            outcome_window_us=outcome_window_us,
            contractual=contractual,
            past=train,
        )
        for who, rows in fits.items()
    }
    masks = {
        "everyone": np.ones(test.num_rows, dtype=bool),
        "eligible": test["eligible"].to_numpy().astype(bool),
    }
    y, outcome = test["churned"].to_numpy(), stage_index(test["outcome_stage"].to_numpy())
    return {who: _better(fitted, y, outcome, who, mask) for who, mask in masks.items()}


def _better(
    fitted: Mapping[str, tuple[dict[str, np.ndarray], dict[str, np.ndarray]]],
    y: np.ndarray,
    outcome: np.ndarray,
    population: str,
    mask: np.ndarray,
) -> PopulationBaselines:
    churn = {who: {name: p[mask] for name, p in each.items()} for who, (each, _) in fitted.items()}
    stages = {who: {name: p[mask] for name, p in each.items()} for who, (_, each) in fitted.items()}
    return PopulationBaselines(
        *choose_fits(churn, population, lambda p: metrics.log_losses(y[mask], p)),
        *choose_fits(stages, population, lambda p: metrics.stage_log_losses(outcome[mask], p)),
    )


def choose_fits(
    fits: Mapping[str, Mapping[str, np.ndarray]],
    population: str,
    losses: Callable[[np.ndarray], np.ndarray],
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """(the better answers of each baseline, the population that they were fitted on), by name.

    `fits`: the answers to the rows of `population`, by baseline, of each population fitted on;
    `losses` gives the loss of each row. The own fit stays where another loses as much.
    """
    own_first = sorted(fits, key=lambda who: who != population)
    better, fitted_on = {}, {}
    for name in fits[own_first[0]]:
        lost = {who: float(losses(fits[who][name]).sum()) for who in own_first}
        fitted_on[name] = min(lost, key=lost.__getitem__)
        better[name] = fits[fitted_on[name]][name]
    return better, fitted_on


def churn_baselines(
    train: pa.Table,
    test: pa.Table,
    *,
    outcome_window_us: int,
    contractual: bool,
    past: pa.Table | None = None,
) -> dict[str, np.ndarray]:
    """P(churn) of the rows of `test` by baseline, float64 (rows,) each.

    `past`: labelled rows for the own past rate, by default the training rows.
    """
    labels = train["churned"].to_numpy().astype(int)
    rate = (labels.sum() + 1) / (len(labels) + 2)
    edge = 1 / (2 * len(labels))
    out = {"base rate": np.full(test.num_rows, rate)}
    for name, inputs in {"recency": _recency, "RFM logistic": _rfm}.items():
        values = inputs(train)
        if not np.ptp(values, axis=0).any():  # all are alike: nothing to regress on
            out[name] = out["base rate"]
            continue
        part = ridge.fit_ridge(values, labels, strength=1.0, outputs=1)
        out[name] = sigmoid(part.margins(inputs(test))[:, 0])
    past = train if past is None else past
    out["own past rate"] = _own_past_rate(past, test, rate, outcome_window_us)
    if "p_no_activity" in test.column_names:
        model = test["p_no_activity"].to_numpy()
        # The model has nothing to say of covered customers without activity.
        out["BG/NBD"] = np.where(np.isnan(model), rate, model)
    if contractual:
        shares = _frequencies_by_cell(_cover_cells(train), _cover_cells(test), labels)
        out["renewal rate"] = shares[:, 1] / (shares[:, 0] + shares[:, 1])
    return {name: np.clip(p, edge, 1 - edge) for name, p in out.items()}


def _recency(rows: pa.Table) -> np.ndarray:
    return (recency_us(rows) / DAY_US)[:, None]


def _rfm(rows: pa.Table) -> np.ndarray:
    """Recency, frequency, tenure, and money where there is any: (rows, 3 or 4)."""
    columns = [
        _recency(rows)[:, 0],
        rows["n"].to_numpy().astype(float),
        tenure_us(rows) / DAY_US,
    ]
    if "amount_all" in rows.column_names:
        columns.append(rows["amount_all"].to_numpy())
    return np.stack(columns, axis=1)


def _own_past_rate(
    past: pa.Table, test: pa.Table, rate: float, outcome_window_us: int
) -> np.ndarray:
    """(own churns + 2 · rate) / (own labels + 2).

    The labels are those of as_of dates whose outcome windows closed before the row's as_of.
    """
    closed = past["as_of"].to_numpy() + outcome_window_us
    churned = past["churned"].to_numpy().astype(float)
    ids, at = past["customer_id"].to_pylist(), test["as_of"].to_numpy()
    sums: dict[tuple[str, int], tuple[float, float]] = {}
    for instant in np.unique(at):
        for row in np.flatnonzero(closed <= instant):
            churns, labels = sums.get((ids[row], instant), (0.0, 0.0))
            sums[ids[row], instant] = (churns + churned[row], labels + 1)
    own = [
        sums.get(key, (0.0, 0.0)) for key in zip(test["customer_id"].to_pylist(), at, strict=True)
    ]
    churns_of, labels_of = np.array(own).reshape(-1, 2).T
    return (churns_of + 2 * rate) / (labels_of + 2)


def _cover_cells(rows: pa.Table) -> list[np.ndarray]:
    """How cover can end, the plan, and the days left in steps.

    −1 without cover, and where a feature is switched off.
    """

    def values(name: str) -> np.ndarray:
        there = name in rows.column_names
        return rows[name].to_numpy() if there else np.full(rows.num_rows, np.nan)

    ends = rows["cover_until"].to_numpy().astype(float)
    left = (ends - rows["as_of"].to_numpy()) / DAY_US
    covered = left > 0
    plan = [
        np.where(np.isnan(values(name)), -1, np.round(np.nan_to_num(values(name)))) for name in PLAN
    ]
    step = np.searchsorted(DAYS_LEFT, np.where(covered, left, 0))
    can_end, cancelled_beyond = (values(name) for name in COLUMNS)
    return [
        np.where(covered, cell, -1).astype(int)
        for cell in (kinds(can_end, cancelled_beyond), *plan, step)
    ]


def stage_baselines(
    train: pa.Table,
    test: pa.Table,
    definitions: Definitions,
    *,
    p_base: np.ndarray,
    p_logistic: np.ndarray,
) -> dict[str, np.ndarray]:
    """P(next stage) of the rows of `test` by baseline, float64 (rows, 7) each.

    `p_base` and `p_logistic`: P(churn) of the baselines base rate and RFM logistic.
    """
    outcome = stage_index(train["outcome_stage"].to_numpy())
    now, then = stage_index(train["stage"].to_numpy()), stage_index(test["stage"].to_numpy())
    marginal = np.bincount(outcome, minlength=K) / max(train.num_rows, 1)
    raw = {
        "marginal": np.tile(marginal, (test.num_rows, 1)),
        "persistence": _persistence(outcome, now, then, marginal),
        "Markov": _frequencies_by_cell([now], [then], outcome),
        "semi-Markov": _frequencies_by_cell(
            _stage_cells(train, definitions), _stage_cells(test, definitions), outcome
        ),
    }
    possible = _possible(test, definitions)
    out = {name: apply_floor(p, possible, training_rows=train.num_rows) for name, p in raw.items()}
    q = _stayers_by_stage_and_n(train, test, definitions)
    for name, p in (("hurdle, constant p", p_base), ("hurdle, logistic p", p_logistic)):
        out[name] = compose(p, q, inactive_index(test))
    return out


def _persistence(
    outcome: np.ndarray, now: np.ndarray, then: np.ndarray, marginal: np.ndarray
) -> np.ndarray:
    """The share of rows that kept their stage, on the current stage; the rest by frequency."""
    p = np.zeros((len(then), K))
    stays = np.mean(outcome == now) if len(outcome) else 0.5
    p[np.arange(len(then)), then] = stays
    p += (1 - stays) * marginal
    return p


def _possible(rows: pa.Table, definitions: Definitions) -> np.ndarray:
    allowed = reachable_from_rows(rows, definitions)
    allowed[np.arange(rows.num_rows), inactive_index(rows)] = True
    return allowed


def _stage_cells(rows: pa.Table, definitions: Definitions) -> list[np.ndarray]:
    """Stage; days in it, doubled each step, in fifths of the population mean gap; n up to 6.

    Days in stage: for at_risk, dormant and churned the time since their threshold was crossed; for
    new, growing and loyal the time since the last activity, at which they were confirmed.
    """
    stage = stage_index(rows["stage"].to_numpy())
    starts = np.zeros(K)
    for name, multiple in zip(
        ("at_risk", "dormant", "churned"), definitions.multiples, strict=True
    ):
        starts[STAGES.index(name)] = multiple
    mean_gap_us = definitions.population_mean_gap_us
    overdue = rows["overdue_state"].to_numpy()
    recency = recency_us(rows)
    usual = np.where(overdue > 0, recency / np.where(overdue > 0, overdue, 1), mean_gap_us)
    inside = np.maximum(recency - starts[stage] * usual, 0) / (mean_gap_us / 5)
    return [
        stage,
        np.minimum(np.floor(np.log2(inside + 1)), 6).astype(int),
        np.minimum(rows["n"].to_numpy(), 6),
    ]


def _frequencies_by_cell(
    cells: Sequence[np.ndarray], test_cells: Sequence[np.ndarray], outcome: np.ndarray
) -> np.ndarray:
    """Outcome frequencies by cell, (test rows, K).

    Cells are refined one column at a time; each is smoothed towards the coarser one with the
    weight of PRIOR_ROWS rows.
    """
    overall = (np.bincount(outcome, minlength=K) + 1) / (outcome.size + K)
    probability = np.tile(overall, (len(test_cells[0]), 1))
    for depth in range(1, len(cells) + 1):
        keys = np.stack(list(cells[:depth]), axis=1)
        wanted = np.stack(list(test_cells[:depth]), axis=1)
        both, where = np.unique(np.vstack([keys, wanted]), axis=0, return_inverse=True)
        counts = np.zeros((len(both), K))
        np.add.at(counts, (where[: len(keys)], outcome), 1)
        mine = counts[where[len(keys) :]]
        total = mine.sum(axis=1, keepdims=True) + PRIOR_ROWS
        probability = (mine + PRIOR_ROWS * probability) / total
    return probability


def _stayers_by_stage_and_n(
    train: pa.Table, test: pa.Table, definitions: Definitions
) -> np.ndarray:
    """q(stage | stays) by stage and number of activities, (test rows, 7)."""
    stayed = train.filter(pa.array(~train["churned"].to_numpy()))
    outcome = stage_index(stayed["outcome_stage"].to_numpy())

    def cells(rows: pa.Table) -> list[np.ndarray]:
        return [stage_index(rows["stage"].to_numpy()), np.minimum(rows["n"].to_numpy(), 6)]

    q = _frequencies_by_cell(cells(stayed), cells(test), outcome)
    return apply_floor(q, reachable_from_rows(test, definitions), training_rows=stayed.num_rows)
