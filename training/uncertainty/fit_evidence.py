"""How far groups of like customers lie from their p, by grade of evidence; and whether the intervals held later.

Like customers: those of one date, grade and stage whose p is about the same. Their rate is taken as
sigmoid(log-odds of p + u), u normal with the grade's spread, and what of them leaves as a draw at that rate. The
spread is not the likeliest one but the largest that the groups do not contradict, so few groups mean a wide interval;
and no grade's is smaller than that of a better grade.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from serving.scoring.calibration import Calibration
from serving.scoring.evidence import GRADES, LEVEL, Spread, grades
from serving.scoring.parts import log_odds, sigmoid
from serving.scoring.scorer import Scorer, stage_index
from training.models import fit_calibration

DATES = 3  # at most so many dates are judged forward in time
ALIKE, BINS = 50, 5  # rows a group has at least, and groups of a date, grade and stage at most
GROUPS = 5  # a grade with fewer groups takes the spread of all grades together
SPREADS = np.linspace(0, 3, 121)
NORMAL = np.linspace(-5, 5, 201)
_WEIGHT = np.exp(-0.5 * NORMAL**2) / np.exp(-0.5 * NORMAL**2).sum()
DROP = 0.82  # of the log likelihood: the upper end of a one-sided 90 % interval
CHECKED, CHECK_BINS = (
    200,
    10,
)  # the same for the groups the intervals are checked on, of a date and grade


@dataclass(frozen=True)
class Alike:
    """Groups of like customers: grade (index), mean p, rows and leavers of each, all (groups,)."""

    grade: np.ndarray
    p: np.ndarray
    rows: np.ndarray
    left: np.ndarray


def fit(
    scorer: Scorer, rows: pa.Table, margin: np.ndarray, forward: np.ndarray, *, window: int
) -> Spread | None:
    """Spreads by grade from labelled rows and their log-odds, (rows,); None for too few rows.

    `margin`: from fits without the row's customer; `forward`: from fits on what had closed a window (µs: horizon and
    label latency) before, NaN elsewhere. Where there is a forward date, groups are judged there, calibrated as of then.
    Otherwise at the newest date by `margin`, which leaves out how dates differ.
    """
    p, how = _said(scorer, rows, margin, forward, window)
    found = groups(
        rows,
        p,
        ~np.isnan(p),
        grades(rows, scorer.definitions),
        least=ALIKE,
        bins=BINS,
        by_stage=True,
    )
    if not len(found.p):
        return None
    together, spreads = largest(found), []
    for at in range(len(GRADES)):
        mine = found.grade == at
        own = mine.sum() >= GROUPS
        spreads.append(
            largest(Alike(at, found.p[mine], found.rows[mine], found.left[mine]))
            if own
            else together
        )
    wide = np.maximum.accumulate(spreads[::-1])[::-1]
    return Spread(
        tuple(float(x) for x in wide), f"{len(found.p)} groups of at least {ALIKE} customers, {how}"
    )


def _said(
    scorer: Scorer, rows: pa.Table, margin: np.ndarray, forward: np.ndarray, window: int
) -> tuple[np.ndarray, str]:
    """(p (rows,), NaN where nothing is judged; in words what by)."""
    as_of, y = rows["as_of"].to_numpy(), rows["churned"].to_numpy()
    p, told = np.full(len(y), np.nan), np.unique(as_of[~np.isnan(forward)])
    for at in told:
        on, now = as_of == as_of[as_of + window <= at].max(), as_of == at
        found = fit_calibration.fit(margin[on], y[on], kind=scorer.calibration.kind)
        p[now] = _p(scorer, fit_calibration.lasting(found, margin[on]), forward[now])
    if len(told):
        return p, f"forward in time at {len(told)} dates"
    newest = as_of == as_of.max(initial=0)
    p[newest] = scorer.p_of(margin[newest])
    return p, "left out at the date of the calibration: what dates differ by is not in it"


def _p(scorer: Scorer, found: Calibration, margin: np.ndarray) -> np.ndarray:
    edge = 1 / (2 * max(scorer.churn_rows, 1))
    return np.clip(found.p(margin), edge, 1 - edge)


def groups(
    rows: pa.Table,
    p: np.ndarray,
    judged: np.ndarray,
    grade: np.ndarray,
    *,
    least: int,
    bins: int,
    by_stage: bool,
) -> Alike:
    """Like customers among the judged rows: up to `bins` a date and grade (and stage), of `least` rows or more."""
    as_of, y = rows["as_of"].to_numpy(), rows["churned"].to_numpy()
    stage = stage_index(rows["stage"].to_numpy()) if by_stage else np.zeros(len(p), dtype=int)
    cells = np.unique(np.stack([as_of, grade, stage], axis=1)[judged], axis=0)
    found = [
        (cell[1], p[part].mean(), len(part), y[part].sum())
        for cell in cells
        for part in _parts(
            p,
            np.flatnonzero(judged & (as_of == cell[0]) & (grade == cell[1]) & (stage == cell[2])),
            least,
            bins,
        )
    ]
    columns = np.array(found, dtype=float).reshape(-1, 4).T
    return Alike(columns[0].astype(int), columns[1], columns[2], columns[3])


def _parts(p: np.ndarray, mine: np.ndarray, least: int, bins: int) -> Iterator[np.ndarray]:
    """The rows `mine` in up to `bins` groups of about as many, by p; equal p always in one; groups under `least` left out."""
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


def largest(found: Alike) -> float:
    """The largest spread (of SPREADS) the groups do not contradict: log likelihood within DROP of the best."""
    middle = log_odds(found.p)[:, None]
    told = []
    for spread in SPREADS:
        said = middle + spread * NORMAL
        each = -found.left[:, None] * np.logaddexp(0, -said) - (found.rows - found.left)[
            :, None
        ] * np.logaddexp(0, said)
        top = each.max(axis=1, keepdims=True)
        told.append((top[:, 0] + np.log((np.exp(each - top) * _WEIGHT).sum(axis=1))).sum())
    told = np.array(told)
    return float(SPREADS[np.flatnonzero(told >= told.max() - DROP)[-1]])


def account(scorer: Scorer, late: pa.Table, p: np.ndarray) -> dict[str, Any]:
    """Per grade at the evaluation dates: rows, share that left, mean p, mean width of the interval, and whether it held.

    `groups` of a date, a grade and about one p, of CHECKED rows or more. `inside`: the share of them whose rate lies in
    the interval of their p; `inside_with_sampling`: the share whose leavers are no stranger (5 % either side) than a rate of
    the spread and a draw of so many customers at that rate make them.
    None where it cannot be told.
    """
    grade, y = grades(late, scorer.definitions), late["churned"].to_numpy()
    told: dict[str, Any] = {
        "level": LEVEL,
        "why": scorer.spread.why if scorer.spread else None,
        "grades": [],
    }
    found = groups(
        late, p, np.ones(len(p), dtype=bool), grade, least=CHECKED, bins=CHECK_BINS, by_stage=False
    )
    for at, name in enumerate(GRADES):
        mine = grade == at
        row = {
            "grade": name,
            "rows": int(mine.sum()),
            "left": None,
            "p": None,
            "width": None,
            "spread": None,
        }
        if mine.any():
            row |= {"left": float(y[mine].mean()), "p": float(p[mine].mean())}
            if scorer.spread:
                low, high = scorer.spread.interval(p[mine], grade[mine])
                row |= {"width": float((high - low).mean()), "spread": scorer.spread.spreads[at]}
        told["grades"].append(row | _inside(scorer.spread, found, found.grade == at))
    return told | _inside(scorer.spread, found, np.ones(len(found.p), dtype=bool))


def _inside(spread: Spread | None, found: Alike, mine: np.ndarray) -> dict[str, Any]:
    if spread is None or not mine.any():
        return {"groups": 0, "inside": None, "inside_with_sampling": None}
    p, rate = found.p[mine], found.left[mine] / found.rows[mine]
    low, high = spread.interval(p, found.grade[mine])
    held, below, above = (low <= rate) & (rate <= high), *_tails(spread, found, mine)
    near = np.minimum(below, above) >= (1 - LEVEL) / 2
    return {
        "groups": int(mine.sum()),
        "inside": float(held.mean()),
        "inside_with_sampling": float(near.mean()),
    }


def _tails(spread: Spread, found: Alike, mine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(P(as few left, or fewer), P(as many, or more)) of each group: a rate of the spread, and a draw at that rate."""
    from scipy.stats import binom

    wide = np.asarray(spread.spreads)[found.grade[mine]][:, None] * NORMAL
    rate = sigmoid(log_odds(found.p[mine])[:, None] + wide)
    rows, left = found.rows[mine][:, None], found.left[mine][:, None]
    return tuple(
        (tail @ _WEIGHT) for tail in (binom.cdf(left, rows, rate), binom.sf(left - 1, rows, rate))
    )


def lines(account: dict[str, Any]) -> list[str]:
    """What the command line says: how many customers of each grade, and how wide their intervals are."""
    found = account.get("evidence")
    if not found:
        return []
    shown = [
        f"{one['grade']} {one['rows']:,}"
        + ("" if one["width"] is None else f" (± {one['width'] / 2:.3f})")
        for one in found["grades"]
    ]
    out = [f"  evidence: {', '.join(shown)}"]
    if found["groups"]:
        out.append(
            f"    intervals held the rate of {found['inside']:.0%} of {found['groups']} groups of like customers, "
            f"{found['inside_with_sampling']:.0%} allowing for sampling (wanted {found['level']:.0%})"
        )
    return out
