"""The curve of a training, fitted on p that is out of fold: to be evaluated, and on all rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from features.core.settings import Settings
from features.labels.event_times import event_matrix
from serving.scoring.curve import Curve
from serving.scoring.scorer import Scorer
from training.examples import Examples
from training.fitting import Fitting
from training.models.fit_curve import fit_curve, known_before
from training.plan import Plan


def out_of_fold_p(fitting: Fitting, scorer: Scorer, rows: pa.Table) -> np.ndarray:
    """P(churn) of each row from a fit without its customer, float64 (rows,).

    The scorer's own p where that is the same: for who cannot churn, and where p is a rate.
    """
    p = scorer.p_churn(rows)
    if scorer.status != "ok":
        return p
    margin = fitting.out_of_fold_margins(rows)
    return np.where(np.isnan(margin), p, scorer.p_from_margin(np.nan_to_num(margin)))


def curve_of(
    rows: pa.Table, p: np.ndarray, events: np.ndarray, settings: Settings, columns: tuple[str, ...]
) -> Curve:
    """The curve of rows with these p and events (`event_times.observe_events`)."""
    return fit_curve(
        rows,
        p,
        events,
        settings.curve_horizons,
        settings.churn.horizon_days,
        columns=columns,
        contractual=settings.contractual,
    )


def released_curve(rows: pa.Table, p: np.ndarray, examples: Examples, settings: Settings) -> Curve:
    """The curve of the release: every outcome in the data counts."""
    events = event_matrix(rows, settings.curve_horizons)
    return curve_of(rows, p, events, settings, examples.modelled)


def evaluated_curve(
    train: pa.Table, p: np.ndarray, examples: Examples, plan: Plan, settings: Settings
) -> tuple[Curve, np.ndarray]:
    """The curve of the training rows, and the events (rows, horizons) that it was fitted on.

    They are what was known on the first evaluation date.
    """
    horizons = settings.curve_horizons
    events = known_before(
        event_matrix(train, horizons),
        train["as_of"].to_numpy(),
        horizons,
        latency_days=settings.churn.label_latency_days,
        at=plan.evaluate[0],
    )
    return curve_of(train, p, events, settings, examples.modelled), events
