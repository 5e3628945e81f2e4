"""What the curve is compared with: P(event within each horizon) by simpler models of time.

Kaplan–Meier   of rows of the same stage and number of activities (Kaplan & Meier 1958)
BG/NBD         one model of purchases and leaving (Fader, Hardie & Lee 2005)
Weibull        waits of one shape, on the customer's own usual gap
sBG            with contracts: renewals of a shifted-beta-geometric (Fader & Hardie 2007)
"""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import scipy

from features.core.instants import DAY_US
from features.labels.event_times import NO, NOT_KNOWN, YES
from features.recipes import btyd
from features.recipes.stages import STAGES, usual_gap
from features.recipes.state_columns import activity_span, recency_us
from serving.scoring.curve import has_cover
from serving.scoring.curve_inputs import TERM_COLUMNS, count_ends
from serving.scoring.scorer import stage_index

KAPLAN_MEIER, BG_NBD, WEIBULL, SBG = "Kaplan-Meier", "BG/NBD", "Weibull", "sBG"
ACTIVITIES = (1, 2, 4, 8, 16)  # the first number of activities of each group
PRIOR_ROWS = 10  # rows of everybody added to each group


def curve_baselines(
    train: pa.Table,
    events: np.ndarray,
    test: pa.Table,
    horizons: tuple[int, ...],
    *,
    contractual: bool,
    population_mean_gap_us: int,
    wait_shape: float,
) -> dict[str, np.ndarray]:
    """Each baseline's P(event within each horizon) of the test rows, float64 (rows, horizons).

    events: int8 (train rows, horizons), as known at the evaluation. NaN where a baseline has no
    answer for a row.
    """
    result = {KAPLAN_MEIER: _kaplan_meier(train, events, test, contractual=contractual)}
    if contractual:
        result[SBG] = _shifted_beta_geometric(train, events, test, horizons)
    else:
        result[BG_NBD] = _bg_nbd(test, horizons)
        result[WEIBULL] = _weibull(test, horizons, population_mean_gap_us, wait_shape)
    return result


def _kaplan_meier(
    train: pa.Table, events: np.ndarray, test: pa.Table, *, contractual: bool
) -> np.ndarray:
    waiting = np.ones(len(events), dtype=bool)
    survives = np.ones(test.num_rows)
    result = np.full((test.num_rows, events.shape[1]), np.nan)
    groups, own = (_groups(rows, contractual=contractual) for rows in (train, test))
    count = int(max(groups.max(initial=0), own.max(initial=0))) + 1
    for at in range(events.shape[1]):
        usable = waiting & (events[:, at] != NOT_KNOWN)
        if not usable.any():
            break
        came = events[usable, at] == YES
        everybody = (came.sum() + 0.5) / (usable.sum() + 1)
        rows = np.bincount(groups[usable], minlength=count)
        hits = np.bincount(groups[usable], weights=came, minlength=count)
        hazard = (hits + PRIOR_ROWS * everybody) / (rows + PRIOR_ROWS)
        survives = survives * (1 - hazard[own])
        result[:, at] = 1 - survives
        waiting &= events[:, at] == NO
    return result


def _groups(rows: pa.Table, *, contractual: bool) -> np.ndarray:
    """A number for each stage, number of activities and, with contracts, cover."""
    stage = stage_index(rows["stage"].to_numpy())
    activities = np.searchsorted(ACTIVITIES, rows["n"].to_numpy(), side="right")
    covered = has_cover(rows).astype(int) if contractual else 0
    return (covered * len(STAGES) + stage) * (len(ACTIVITIES) + 1) + activities


def _bg_nbd(test: pa.Table, horizons: tuple[int, ...]) -> np.ndarray:
    first, last = activity_span(test)
    columns = {
        "repeats": np.maximum(test["n"].to_numpy() - 1, 0).astype(float),
        "last": (last - first) / DAY_US,
        "age": (test["as_of"].to_numpy() - first) / DAY_US,
    }
    model = btyd.fit(**columns)
    return np.column_stack(
        [1 - btyd.p_no_activity(model, **columns, horizon=float(days)) for days in horizons]
    )


def _weibull(
    test: pa.Table, horizons: tuple[int, ...], population_mean_gap_us: int, shape: float
) -> np.ndarray:
    """P(T ≤ r + h | T > r) of waits with the mean g, the customer's usual gap."""
    first, last = activity_span(test)
    gap = usual_gap(
        first=first.astype(float),
        last=last.astype(float),
        count=np.maximum(test["n"].to_numpy(), 1),
        population_mean_gap_us=population_mean_gap_us,
    )
    scale = math.gamma(1 + 1 / shape) / gap
    waited = recency_us(test).astype(float)
    spent = (waited * scale) ** shape
    return np.column_stack(
        [-np.expm1(spent - ((waited + days * DAY_US) * scale) ** shape) for days in horizons]
    )


def _shifted_beta_geometric(
    train: pa.Table, events: np.ndarray, test: pa.Table, horizons: tuple[int, ...]
) -> np.ndarray:
    """1 − Π r_t over the ends of terms within h; r_t = (b + t − 1) / (a + b + t − 1).

    NaN for rows without cover, and where the features about terms are switched off.
    """
    result = np.full((test.num_rows, len(horizons)), np.nan)
    if not {*TERM_COLUMNS, "terms"} <= set(train.column_names):
        return result
    ends = [_ends_within(train, days) for days in horizons]
    usable = [
        has_cover(train) & (events[:, at] != NOT_KNOWN) & (ends[at] == 1)
        for at in range(len(horizons))
    ]
    term = np.concatenate([_terms(train)[mask] for mask in usable])
    lost = np.concatenate([events[mask, at] == YES for at, mask in enumerate(usable)])
    if not lost.any() or lost.all():
        return result
    a, b = _fit_beta(term, lost)
    covered = has_cover(test)
    for at, days in enumerate(horizons):
        kept = np.ones(test.num_rows)
        more = _ends_within(test, days)
        for step in range(int(more.max(initial=0))):
            renewal = _terms(test) + step
            kept *= np.where(step < more, (b + renewal - 1) / (a + b + renewal - 1), 1.0)
        result[:, at] = np.where(covered, 1 - kept, np.nan)
    return result


def _terms(rows: pa.Table) -> np.ndarray:
    return np.maximum(np.nan_to_num(rows["terms"].to_numpy().astype(float), nan=1.0), 1.0)


def _ends_within(rows: pa.Table, days: int) -> np.ndarray:
    """How many ends of terms lie within so many days; 0 where no end is known."""
    left, length = (rows[name].to_numpy().astype(float) for name in ("days_left", "term_days"))
    known = ~(np.isnan(left) | np.isnan(length))
    ends = count_ends(np.where(known, left, 0), np.where(known, np.maximum(length, 1), 1), days)
    return np.where(known, np.clip(ends, 0, 60), 0)


def _fit_beta(term: np.ndarray, lost: np.ndarray) -> tuple[float, float]:
    """Maximum likelihood (a, b) of renewals: term (n,) is the number of the one that ends."""

    def loss(logs: np.ndarray) -> float:
        a, b = np.exp(logs)
        renews = (b + term - 1) / (a + b + term - 1)
        return -float(np.where(lost, np.log1p(-renews), np.log(renews)).mean())

    limits = [(-7.0, 9.0)] * 2
    fitted = scipy.optimize.minimize(loss, np.zeros(2), method="L-BFGS-B", bounds=limits)
    a, b = np.exp(fitted.x).tolist()
    return a, b
