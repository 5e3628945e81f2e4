"""The evaluation of the curve: each horizon among those whom it is about, beside its baselines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from features.labels.event_times import NOT_KNOWN, YES, event_matrix
from features.labels.leaving_cause import CANCELLED_COLUMN
from serving.scoring.curve import Curve, has_cover
from serving.scoring.curve_inputs import GONE
from training import metrics
from training.evaluation.curve_baselines import curve_baselines
from training.examples import Examples

FEWEST_ROWS = 30
FIGURES = ("rows", "rate", "auroc", "auroc_low", "auroc_high", "log_loss", "brier", "ece")
EDGE = 1e-6


def evaluate_curve(
    curve: Curve,
    train: pa.Table,
    train_events: np.ndarray,
    test: pa.Table,
    p: np.ndarray,
    examples: Examples,
) -> dict[str, Any]:
    """Figures by horizon and group, with `integrated_brier` by group.

    p: P(churn) of the test rows. train_events: what was known at the evaluation, int8 (rows,
    horizons). Each horizon has rows, rate, mean_p, log_loss, auroc, ece, `baselines` (log loss),
    and the difference to the best baseline with its interval. A horizon whose outcomes are not
    known yet is left out, and stands in `not_judged`. `cancelled`: of who lost the cover within the
    horizon of churn, how many had cancelled.
    """
    within = curve.event_within(test, p)
    events = event_matrix(test, curve.horizons)
    at_test = [each for each in examples.population_stats if each.as_of in set(_instants(test))]
    baselines = curve_baselines(
        train,
        train_events,
        test,
        curve.horizons,
        contractual=curve.covered is not None,
        population_mean_gap_us=examples.definitions.population_mean_gap_us,
        wait_shape=at_test[-1].wait_shape,
    )
    judged = {}
    for name, mask in _groups(test, contractual=curve.covered is not None):
        figures = {
            f"{days}d": _figures(test, mask, events[:, at], within[:, at], baselines, at)
            for at, days in enumerate(curve.horizons)
        }
        figures = {days: each for days, each in figures.items() if each}
        if figures:
            judged[name] = {"horizons": figures} | _brier(mask, events, within, baselines)
    known = {days for each in judged.values() for days in each["horizons"]}
    return {
        "groups": judged,
        "cancelled": judge_cancelled(curve, train, train_events, test, p),
        "not_judged": [days for days in curve.horizons if f"{days}d" not in known],
        "known_until": max(max(curve.known_horizons(g), default=0) for g in curve.groups),
    }


def judge_cancelled(
    curve: Curve, train: pa.Table, train_events: np.ndarray, test: pa.Table, p: np.ndarray
) -> dict[str, Any] | None:
    """Of the test rows whose cover was lost: how many had cancelled, beside the share predicted.

    `less_constant`: log loss less that of the share of the training rows, with its interval. None
    without contracts, and with too few rows.
    """
    if curve.cancelled is None or not curve.cancelled.known:
        return None
    at = curve.horizons.index(curve.horizon)
    lost = has_cover(test) & test["churned"].to_numpy() & (p > 0)
    if lost.sum() < FEWEST_ROWS:
        return None
    y = test[CANCELLED_COLUMN].to_numpy()[lost]
    share = _inside(curve.cancels(test, p)[lost] / p[lost])
    before = train[CANCELLED_COLUMN].to_numpy()[has_cover(train) & (train_events[:, at] == YES)]
    constant = np.full(len(y), (before.sum() + 0.5) / (len(before) + 1))
    figures = metrics.churn_metrics(y, share)
    ours, theirs = metrics.log_losses(y, share), metrics.log_losses(y, constant)
    customers = test["customer_id"].to_numpy()[lost]
    return (
        {"mean_p": float(share.mean())}
        | {name: figures[name] for name in FIGURES}
        | {"less_constant": metrics.paired_difference(ours, theirs, customers)}
    )


def _instants(rows: pa.Table) -> list[int]:
    return rows["as_of"].unique().to_pylist()


def _groups(rows: pa.Table, *, contractual: bool) -> Iterator[tuple[str, np.ndarray]]:
    """Who is judged apart: (name, bool (rows,)).

    `gone`: dormant and churned; with contracts who has no cover. Their event is to return.
    """
    if contractual:
        covered = has_cover(rows)
        yield "covered", covered
        yield "gone", ~covered
        return
    yield "everyone", np.ones(rows.num_rows, dtype=bool)
    yield "eligible", rows["eligible"].to_numpy()
    yield "gone", np.isin(rows["stage"].to_numpy(), GONE)


def _figures(
    rows: pa.Table,
    mask: np.ndarray,
    events: np.ndarray,
    p: np.ndarray,
    baselines: Mapping[str, np.ndarray],
    at: int,
) -> dict[str, Any]:
    """The figures of one horizon; empty where too few rows have an outcome and a p."""
    use = mask & (events != NOT_KNOWN) & ~np.isnan(p)
    if use.sum() < FEWEST_ROWS:
        return {}
    y, ours = events[use] == YES, _inside(p[use])
    figures = metrics.churn_metrics(y, ours)
    losses = metrics.log_losses(y, ours)
    customers = rows["customer_id"].to_numpy()[use]
    report = {"mean_p": float(ours.mean())} | {name: figures[name] for name in FIGURES}
    others = {name: each[use, at] for name, each in baselines.items()}
    others = {
        name: metrics.log_losses(y, _inside(each))
        for name, each in others.items()
        if not np.isnan(each).any()
    }
    report["baselines"] = {name: float(each.mean()) for name, each in others.items()}
    if others:
        best = min(others, key=lambda name: (report["baselines"][name], name))
        difference = metrics.paired_difference(losses, others[best], customers)
        report["best_baseline"] = {"name": best, **difference}
    return report


def _brier(
    mask: np.ndarray, events: np.ndarray, within: np.ndarray, baselines: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """The mean Brier score over the horizons that are known, of ours and of each baseline."""

    def mean(values: np.ndarray) -> float | None:
        scores = []
        for at in range(events.shape[1]):
            use = mask & (events[:, at] != NOT_KNOWN)
            if use.any() and not np.isnan(within[use, at]).any():
                scores.append(float(((values[use, at] - (events[use, at] == YES)) ** 2).mean()))
        return None if not scores or np.isnan(scores).any() else float(np.mean(scores))

    return {
        "integrated_brier": {"ours": mean(within)}
        | {name: mean(each) for name, each in baselines.items()}
    }


def _inside(p: np.ndarray) -> np.ndarray:
    return np.clip(p, EDGE, 1 - EDGE)
