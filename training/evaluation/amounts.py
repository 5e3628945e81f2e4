"""The figures of an amount's model on later rows, next to simple baselines, by population.

Losses are those that the mean minimises (Tweedie deviance, squared error where amounts are
negative), as a share of the loss of the constant mean: 1 explains nothing, 0 everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from features.core.settings import Settings
from features.labels.targets import label_column
from features.tables.history import History
from serving.scoring.amounts import QUANTILES, AmountModel
from serving.scoring.parts import design_matrix
from training import metrics
from training.evaluation.baseline_comparison import MIN_CUSTOMERS, baseline_comparison
from training.evaluation.baselines import choose_fits
from training.evaluation.targets import leading_columns
from training.examples import Examples
from training.models.amount_baselines import amount_baselines
from training.models.amount_rows import SELECTED, AmountRows, is_constant, loss_floor, mean_losses

MEAN = "mean"
LABEL = "churned"


def evaluate_amount(
    model: AmountModel, early: AmountRows, late: pa.Table, settings: Settings
) -> dict[str, Any]:
    """By population: figures of mean and quantiles, baselines, paired differences, verdicts.

    `early`: training rows of the model's population, `late`: evaluation rows of it with all their
    columns. The populations are the model's own and, where that is everyone, also the eligible.
    """
    amounts = late[label_column(model.name)].to_numpy()
    data = AmountRows(
        late.select(SELECTED),
        early.columns,
        amounts,
        design_matrix(late, early.columns),
    )
    values = model.answers_of_all(late)
    expected, *quantiles = values.values()
    answers = np.column_stack([expected, *quantiles])
    window = settings.outcome_window_us
    own = {model.population: early}
    if model.population != "everyone":
        return {model.population: _evaluate(answers, own, model.population, data, window)}
    # The mean of everybody says little of customers who are still active.
    mask, part = late["eligible"].to_numpy(), early.take(early.rows["eligible"].to_numpy())
    fits = own if is_constant(part.amounts) else own | {"eligible": part}
    return {
        "everyone": _evaluate(answers, fits, "everyone", data, window),
        "eligible": _evaluate(answers[mask], fits, "eligible", data.take(mask), window),
    }


def has_skill(report: dict[str, Any], population: str) -> bool:
    """Whether the interval of the gain over the constant mean lies above 0.

    With fewer than MIN_CUSTOMERS an interval by customers means nothing.
    """
    figures = report[population]
    gain = figures.get("gain_over_mean")
    if gain is None or figures["baseline_comparison"]["customers"] < MIN_CUSTOMERS:
        return False
    return bool(gain["low"] > metrics.NEGLIGIBLE)


def find_amount_leaks(
    model: AmountModel,
    late: pa.Table,
    examples: Examples,
    history: History,
    settings: Settings,
) -> tuple[dict[str, Any], str | None]:
    """`leading_columns` of the question whether the amount is above the median.

    `late`: its evaluation rows. LeakSuspected as for a label.
    """
    amounts = late[label_column(model.name)].to_numpy()
    above = amounts > np.median(amounts) if len(amounts) else amounts > 0
    rows = late.set_column(late.column_names.index(LABEL), LABEL, pa.array(above))
    # Metrics of a label take a probability: the place of each expected amount among all.
    places = (np.argsort(np.argsort(model.expected(late))) + 0.5) / max(1, len(amounts))
    figures = {model.population: metrics.churn_metrics(above, places)}
    return leading_columns(model, figures, rows, examples, history, settings)


def _evaluate(
    answers: np.ndarray,
    fits: Mapping[str, AmountRows],
    population: str,
    late: AmountRows,
    outcome_window_us: int,
) -> dict[str, Any]:
    """The section of one `population`; `answers`: the mean and the three quantiles, (rows, 4).

    `fits`: the rows that baselines are fitted on, by population; the better fit is shown.
    """
    y, ids = late.amounts, np.array(late.rows["customer_id"].to_pylist())
    out = amount_figures(y, answers[:, 0])
    if not len(y):
        return out | {"baselines": {}}
    out |= quantile_figures(y, answers[:, 1:])
    own = fits.get(population, next(iter(fits.values()))).amounts
    of_everybody = np.tile(np.quantile(own, QUANTILES), (len(y), 1))
    out["pinball_of_population"] = quantile_figures(y, of_everybody)["pinball"]
    floor = loss_floor(np.concatenate([y, *(rows.amounts for rows in fits.values())]))
    out["loss"] = "Tweedie deviance" if floor > 0 else "squared error"
    fitted = {
        who: amount_baselines(rows, late, outcome_window_us=outcome_window_us)
        for who, rows in fits.items()
    }
    theirs, out["baselines_fitted_on"] = choose_fits(
        fitted, population, lambda other: mean_losses(y, other, floor=floor)
    )
    out["baselines"] = {name: amount_figures(y, each) for name, each in theirs.items()}
    losses = {name: mean_losses(y, each, floor=floor) for name, each in theirs.items()}
    whole = float(losses[MEAN].mean())
    if whole <= 0:  # every amount is the mean
        return out
    losses = {name: each / whole for name, each in losses.items()}
    ours = mean_losses(y, answers[:, 0], floor=floor) / whole
    pairs = metrics.paired_differences(losses, ours, ids)
    against = pairs[MEAN]
    gain = {"gain": -against["difference"], "low": -against["high"], "high": -against["low"]}
    return out | {
        "gain_over_mean": gain,
        "baseline_comparison": baseline_comparison(ours, losses, ids),
        "paired_loss": pairs,
        "verdicts": [metrics.verdict(*pair) for pair in pairs.items()],
    }


def amount_figures(y: np.ndarray, expected: np.ndarray) -> dict[str, Any]:
    """Figures of a mean (rows,) for amounts y: MAE, RMSE, rank correlation, error of the total.

    `total_error`: what the sum of predictions is above the sum of amounts, as a share of the sum of
    their sizes. `spearman` is None where one side is constant.
    """
    out: dict[str, Any] = {"rows": len(y)}
    if not len(y):
        return out
    sizes = float(np.abs(y).sum())
    return out | {
        "mean": float(y.mean()),
        "share_not_zero": float((y != 0).mean()),
        "predicted_mean": float(expected.mean()),
        "total_error": float((expected.sum() - y.sum()) / sizes) if sizes else None,
        "mae": float(np.abs(y - expected).mean()),
        "rmse": float(np.sqrt(((y - expected) ** 2).mean())),
        "spearman": _spearman(y, expected),
    }


def quantile_figures(y: np.ndarray, quantiles: np.ndarray) -> dict[str, Any]:
    """Coverage of q10 … q90 (both ends count), the shares outside, and the pinball losses.

    Where many amounts are equal to an end (0, for most), more than 80 % are covered.
    """
    low, high = quantiles[:, 0], quantiles[:, -1]
    errors = y[:, None] - quantiles
    levels = np.asarray(QUANTILES)
    pinball = np.maximum(levels * errors, (levels - 1) * errors).mean(axis=0)
    names = [f"q{round(level * 100)}" for level in QUANTILES]
    return {
        "coverage": float(((y >= low) & (y <= high)).mean()),
        "below_q10": float((y < low).mean()),
        "above_q90": float((y > high).mean()),
        "above_q50": float((y > quantiles[:, 1]).mean()),
        "pinball": {name: float(each) for name, each in zip(names, pinball, strict=True)},
    }


def _spearman(y: np.ndarray, expected: np.ndarray) -> float | None:
    from scipy.stats import rankdata

    if not np.ptp(y) or not np.ptp(expected):
        return None
    return float(np.corrcoef(rankdata(y), rankdata(expected))[0, 1])
