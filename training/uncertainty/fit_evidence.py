"""How far the rates of similar customers lie from their p, by grade of evidence.

Similar customers share date, grade and stage, and have about the same p. Their churn rate is taken
as sigmoid(log-odds of p + u), where u is normal with the grade's spread, and their churners as a
binomial draw at that rate. The spread is not the likeliest one but the largest that the groups do
not contradict, so few groups give wide intervals. No grade has a smaller spread than a better one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from features.core.language import join_words, say, term
from serving.scoring.calibration import Calibration
from serving.scoring.evidence import GRADES, LEVEL, RateSpread, grades
from serving.scoring.parts import log_odds, sigmoid
from serving.scoring.scorer import Scorer, stage_index
from training.models import fit_calibration

MAX_FORWARD_DATES = 3  # at most so many dates are judged forward in time
# Least rows of a group, and most groups per date, grade and stage.
MIN_GROUP_ROWS, MAX_GROUPS = 50, 5
MIN_GROUPS = 5  # a grade with fewer groups takes the spread of all grades together
SPREADS = np.linspace(0, 3, 121)
NORMAL_GRID = np.linspace(-5, 5, 201)
_WEIGHT = np.exp(-0.5 * NORMAL_GRID**2) / np.exp(-0.5 * NORMAL_GRID**2).sum()
# A log likelihood so far below the best marks the upper end of a one-sided 90 % interval.
LOG_LIKELIHOOD_DROP = 0.82
# The same for the groups that check the intervals, per date and grade.
MIN_CHECK_ROWS, MAX_CHECK_GROUPS = 200, 10


@dataclass(frozen=True)
class CustomerGroups:
    """Groups of similar customers: grade (index), mean p, rows and churners, all (groups,)."""

    grade: np.ndarray
    p: np.ndarray
    rows: np.ndarray
    churners: np.ndarray

    def select(self, mask: np.ndarray) -> CustomerGroups:
        return CustomerGroups(self.grade[mask], self.p[mask], self.rows[mask], self.churners[mask])


def fit_evidence(
    scorer: Scorer, rows: pa.Table, margin: np.ndarray, forward: np.ndarray, *, window: int
) -> RateSpread | None:
    """Spreads by grade from labelled rows and their log-odds (rows,); None for too few rows.

    `margin`: from fits without the row's customer. `forward`: from fits on rows whose outcome
    window (`window`, µs: horizon and label latency) had closed before, NaN elsewhere. Where there
    is a forward date, groups are judged there, calibrated as of then. Otherwise they are judged at
    the newest date by `margin`, which does not contain how dates differ.
    """
    p, method = _judged_scores(scorer, rows, margin, forward, window)
    groups = group_similar_customers(
        rows,
        p,
        ~np.isnan(p),
        grades(rows, scorer.definitions),
        least=MIN_GROUP_ROWS,
        bins=MAX_GROUPS,
        by_stage=True,
    )
    if not len(groups.p):
        return None
    together, spreads = largest_spread(groups), []
    for at in range(len(GRADES)):
        mine = groups.grade == at
        enough = mine.sum() >= MIN_GROUPS
        spreads.append(largest_spread(groups.select(mine)) if enough else together)
    # From the best grade down: a lesser grade is never narrower.
    wide = np.maximum.accumulate(spreads[::-1])[::-1]
    note = f"{len(groups.p)} groups of at least {MIN_GROUP_ROWS} customers, {method}"
    return RateSpread(tuple(float(x) for x in wide), note)


def _judged_scores(
    scorer: Scorer, rows: pa.Table, margin: np.ndarray, forward: np.ndarray, window: int
) -> tuple[np.ndarray, str]:
    """(p (rows,), NaN where nothing is judged; the method in words)."""
    as_of, y = rows["as_of"].to_numpy(), rows["churned"].to_numpy()
    p, dates = np.full(len(y), np.nan), np.unique(as_of[~np.isnan(forward)])
    # A date can be calibrated where an earlier one of these rows had its outcomes by then.
    dates = dates[[bool((as_of + window <= at).any()) for at in dates]]
    for at in dates:
        on, now = as_of == as_of[as_of + window <= at].max(), as_of == at
        fitted = fit_calibration.fit_kind(margin[on], y[on], kind=scorer.calibration.kind)
        fitted = fit_calibration.halve_level(fitted, margin[on])
        p[now] = _clipped_p(scorer, fitted, forward[now])
    if len(dates):
        return p, f"forward in time at {len(dates)} dates"
    newest = as_of == as_of.max(initial=0)
    p[newest] = scorer.p_from_margin(margin[newest])
    return p, "out of fold at the date of the calibration: how dates differ is not included"


def _clipped_p(scorer: Scorer, calibration: Calibration, margin: np.ndarray) -> np.ndarray:
    edge = 1 / (2 * max(scorer.churn_rows, 1))
    return np.clip(calibration.p(margin), edge, 1 - edge)


def group_similar_customers(
    rows: pa.Table,
    p: np.ndarray,
    judged: np.ndarray,
    grade: np.ndarray,
    *,
    least: int,
    bins: int,
    by_stage: bool,
) -> CustomerGroups:
    """Groups among the judged rows: up to `bins` per date and grade (and stage).

    Each has at least `least` rows. `p`, `judged` (bool) and `grade` (index) are (rows,).
    """
    as_of, y = rows["as_of"].to_numpy(), rows["churned"].to_numpy()
    stage = stage_index(rows["stage"].to_numpy()) if by_stage else np.zeros(len(p), dtype=int)
    keys = np.stack([as_of, grade, stage], axis=1)
    table = []
    for cell in np.unique(keys[judged], axis=0):
        mine = np.flatnonzero(judged & (keys == cell).all(axis=1))
        table += [
            (cell[1], p[part].mean(), len(part), y[part].sum())
            for part in _parts(p, mine, least, bins)
        ]
    columns = np.array(table, dtype=float).reshape(-1, 4).T
    return CustomerGroups(columns[0].astype(int), columns[1], columns[2], columns[3])


def _parts(p: np.ndarray, mine: np.ndarray, least: int, bins: int) -> Iterator[np.ndarray]:
    """The rows `mine` in up to `bins` groups of about equal size, by p.

    Equal p share a group. Groups of fewer than `least` rows are left out.
    """
    from scipy.stats import rankdata

    count = min(bins, len(mine) // least)
    if not count:
        return
    number = ((rankdata(p[mine]) - 0.5) * count / len(mine)).astype(int)
    for at in np.unique(number):
        part = mine[number == at]
        if len(part) >= least:
            # In the order of their values: a mean must not depend on the order of the rows.
            yield part[np.argsort(p[part], kind="stable")]


def largest_spread(groups: CustomerGroups) -> float:
    """The largest of SPREADS that the groups do not contradict.

    Its log likelihood is within LOG_LIKELIHOOD_DROP of the best.
    """
    middle = log_odds(groups.p)[:, None]
    churners, stayers = groups.churners[:, None], (groups.rows - groups.churners)[:, None]
    likelihoods = []
    for spread in SPREADS:
        z = middle + spread * NORMAL_GRID
        each = -churners * np.logaddexp(0, -z) - stayers * np.logaddexp(0, z)
        top = each.max(axis=1, keepdims=True)  # taken out, so that exp does not underflow
        likelihoods.append((top[:, 0] + np.log((np.exp(each - top) * _WEIGHT).sum(axis=1))).sum())
    log_likelihood = np.array(likelihoods)
    within = log_likelihood >= log_likelihood.max() - LOG_LIKELIHOOD_DROP
    return float(SPREADS[np.flatnonzero(within)[-1]])


def evidence_report(scorer: Scorer, late: pa.Table, p: np.ndarray) -> dict[str, Any]:
    """The intervals on the evaluation rows `late` with p (rows,), together and per grade.

    Per grade: rows, `observed` (churn rate), `predicted` (mean p), the mean `width` of the
    interval, `spread`. `groups`: those of a date, a grade and about one p, of MIN_CHECK_ROWS rows
    or more. `coverage`: the share of groups whose rate lies in the interval of their p.
    `coverage_with_sampling`: the share whose churners are within 5 % on either side of what the
    spread and a binomial draw make likely. None where it is unknown.
    """
    grade, y = grades(late, scorer.definitions), late["churned"].to_numpy()
    spread, everything = scorer.rate_spread, np.ones(len(p), dtype=bool)
    groups = group_similar_customers(
        late, p, everything, grade, least=MIN_CHECK_ROWS, bins=MAX_CHECK_GROUPS, by_stage=False
    )
    report: dict[str, Any] = {"level": LEVEL, "why": spread.note if spread else None, "grades": []}
    for at, name in enumerate(GRADES):
        row = _grade_row(spread, y, p, grade, at)
        coverage = _group_coverage(spread, groups.select(groups.grade == at))
        report["grades"].append({"grade": name, **row, **coverage})
    return report | _group_coverage(spread, groups)


def _grade_row(
    spread: RateSpread | None, y: np.ndarray, p: np.ndarray, grade: np.ndarray, at: int
) -> dict[str, Any]:
    mine = grade == at
    row: dict[str, Any] = {
        "rows": int(mine.sum()),
        "observed": None,
        "predicted": None,
        "width": None,
        "spread": None,
    }
    if mine.any():
        row |= {"observed": float(y[mine].mean()), "predicted": float(p[mine].mean())}
        if spread:
            low, high = spread.interval(p[mine], grade[mine])
            width = float((high - low).mean())
            row |= {"width": width, "spread": spread.standard_deviations[at]}
    return row


def _group_coverage(spread: RateSpread | None, groups: CustomerGroups) -> dict[str, Any]:
    if spread is None or not len(groups.p):
        return {"groups": 0, "coverage": None, "coverage_with_sampling": None}
    rate = groups.churners / groups.rows
    low, high = spread.interval(groups.p, groups.grade)
    covered, (below, above) = (low <= rate) & (rate <= high), _tails(spread, groups)
    likely = np.minimum(below, above) >= (1 - LEVEL) / 2
    return {
        "groups": len(groups.p),
        "coverage": float(covered.mean()),
        "coverage_with_sampling": float(likely.mean()),
    }


def _tails(spread: RateSpread, groups: CustomerGroups) -> tuple[np.ndarray, np.ndarray]:
    """(P(as few churners, or fewer), P(as many, or more)) of each group.

    For a rate with the spread and a binomial draw at that rate.
    """
    from scipy.stats import binom

    u = np.asarray(spread.standard_deviations)[groups.grade][:, None] * NORMAL_GRID
    rate = sigmoid(log_odds(groups.p)[:, None] + u)
    rows, churners = groups.rows[:, None], groups.churners[:, None]
    below, above = binom.cdf(churners, rows, rate), binom.sf(churners - 1, rows, rate)
    return below @ _WEIGHT, above @ _WEIGHT


def lines(evaluation: dict[str, Any]) -> list[str]:
    """Customers by grade of evidence, how wide their intervals are, and their coverage."""
    evidence = evaluation.get("evidence")
    if not evidence:
        return []
    shown = [
        f"{term(one['grade'])} {one['rows']:,}"
        + ("" if one["width"] is None else f" (± {one['width'] / 2:.3f})")
        for one in evidence["grades"]
    ]
    out = [say("  evidence: {grades}", grades=join_words(shown))]
    if groups := evidence["groups"]:
        inside, likely = (
            round(evidence[name] * groups) for name in ("coverage", "coverage_with_sampling")
        )
        out.append(
            say(
                "    the interval contains the observed rate in {inside} of {groups} customer "
                "groups, in {likely} allowing for sampling (target {level:.0%})",
                inside=inside,
                groups=groups,
                likely=likely,
                level=evidence["level"],
            )
        )
    return out
