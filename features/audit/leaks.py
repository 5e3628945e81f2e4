"""Feature columns that know too much: the outcome, the calendar.

Asked of customers who could still do either: eligible, and not already cancelled by contract. Of everybody it would
say nothing: who has been gone for years is easily told, and honestly.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from features.audit.findings import AGREED, LEAK, LOOK, AsOfSlice, Finding, floats
from features.audit.ranks import correlation, tells

TOO_GOOD = 0.95
FEW = 20  # of either outcome: under it a high AUROC says nothing
CHANCE = 1e-9  # how unlikely it must be that availability sorts the outcomes by luck
RELATIVE = 1e-6


def telling(
    moments: Sequence[AsOfSlice], names: Sequence[str], contractual: frozenset[str]
) -> Iterator[Finding]:
    """Columns that tell the outcome at one as_of, or at several taken together where one has too few of either."""
    for asked, at in _asked(moments):
        for name in names:
            if all(name in moment.rows.column_names for moment, _ in asked):
                values = np.concatenate([moment.values(name)[mask] for moment, mask in asked])
                if found := _of_column(name, values, asked, at):
                    agreed = name in contractual and found.kind == "tells the outcome"
                    yield (
                        Finding(AGREED, "agreed by contract", name, _AGREED, found.figure, at)
                        if agreed
                        else found
                    )


_AGREED = (
    "it tells the outcome, and reads contracts alone: what was agreed and known, not the future"
)
Asked = list[tuple[AsOfSlice, np.ndarray]]


def enough(moments: Sequence[AsOfSlice]) -> bool:
    """Whether any as_of, or all together, has FEW of either outcome among those asked."""
    return bool(list(_asked(moments)))


def _asked(moments: Sequence[AsOfSlice]) -> Iterator[tuple[Asked, int]]:
    every = [(moment, moment.asked) for moment in moments]
    groups = [[one] for one in every]
    small = [one for group in groups if not _both(group) for one in group]
    for group in [
        *(group for group in groups if _both(group)),
        *([small] if len(small) > 1 else []),
    ]:
        if _both(group):
            yield group, group[-1][0].at


def _both(asked: Asked) -> bool:
    y = _outcome(asked)
    return min(int(y.sum()), int((~y).sum())) >= FEW


def _outcome(asked: Asked, name: str = "churned") -> np.ndarray:
    return np.concatenate(
        [np.asarray(moment.outcome[name].to_pylist())[mask] for moment, mask in asked]
    )


def _of_column(name: str, values: np.ndarray, asked: Asked, at: int) -> Finding | None:
    y = _outcome(asked)
    if (value := tells(y, values)) > TOO_GOOD:
        why = f"alone it has AUROC {value:.3f} for churn among {len(y):,} customers: nothing known before as_of is that good"
        return Finding(LEAK, "tells the outcome", name, why, value, at)
    return _echo(name, values, asked, at) or _availability(name, np.isnan(values), y, at)


def _echo(name: str, values: np.ndarray, asked: Asked, at: int) -> Finding | None:
    """The outcome window's activities or the outcome stage said again."""
    count = _outcome(asked, "window_activities").astype(float)
    came = count > 0
    if came.sum() >= FEW and np.ptp(count[came]) > 0:
        share = float((values[came] == count[came]).mean())
        if share >= TOO_GOOD:
            return Finding(
                LEAK,
                "echoes the outcome",
                name,
                f"it equals the outcome window's activities in {share:.1%} of rows",
                share,
                at,
            )
    if (rank := abs(correlation(values, count))) > TOO_GOOD:
        return Finding(
            LEAK,
            "echoes the outcome",
            name,
            f"it ranks customers as the outcome window's activities do (ρ {rank:.3f})",
            rank,
            at,
        )
    stage, now = (
        _outcome(asked, "outcome_stage"),
        np.concatenate([_stage(moment)[mask] for moment, mask in asked]),
    )
    levels = np.unique(values[~np.isnan(values)])
    if 2 <= levels.size <= 20 and _purity(values, stage) >= 0.98 and _purity(now, stage) < TOO_GOOD:
        return Finding(
            LEAK,
            "echoes the outcome",
            name,
            "its value settles the outcome stage, which the stage at as_of does not",
            _purity(values, stage),
            at,
        )
    return None


def _stage(moment: AsOfSlice) -> np.ndarray:
    return np.asarray(moment.rows["stage"].to_pylist())


def _purity(level: np.ndarray, stage: np.ndarray) -> float:
    """The share of rows whose stage is the commonest of their level."""
    _, of = np.unique(level, return_inverse=True)
    _, kind = np.unique(stage, return_inverse=True)
    counts = np.zeros((of.max() + 1, kind.max() + 1))
    np.add.at(counts, (of, kind), 1)
    return float(counts.max(axis=1).sum() / len(stage))


def _availability(name: str, empty: np.ndarray, y: np.ndarray, at: int) -> Finding | None:
    """A cell that is only there (or only missing) for those who leave, or for those who stay."""
    for side, word in ((~empty, "has a value"), (empty, "is empty")):
        rest = y[~side]
        if min(side.sum(), rest.size) >= FEW and (y[side].all() or not y[side].any()):
            share = rest.mean() if y[side].all() else 1 - rest.mean()
            if share < 1 and share ** int(side.sum()) < CHANCE:
                who = "leaves" if y[side].all() else "stays"
                why = f"everybody of whom it {word} {who} ({int(side.sum()):,} customers; {share:.0%} of the others)"
                return Finding(LEAK, "availability tells the outcome", name, why, 1.0, at)
    return None


def calendar(pairs: Sequence[tuple[pa.Table, pa.Table]], names: Sequence[str]) -> Iterator[Finding]:
    """Columns that know the date. `pairs`: the rows at an as_of, and the same when all of it happens weeks later."""
    for name in names:
        shown = [
            (floats(one[name]), floats(other[name]))
            for one, other in pairs
            if name in one.column_names and name in other.column_names and one.num_rows >= FEW
        ]
        if shown:
            yield from _dated(name, shown)


def _dated(name: str, shown: list[tuple[np.ndarray, np.ndarray]]) -> Iterator[Finding]:
    changed = any(_moves(one, other).any() for one, other in shown)
    constant = [one[0] for one, _ in shown if not np.isnan(one).any() and np.ptp(one) == 0]
    levels = len(set(constant))
    if len(constant) == len(shown) >= 2 and levels >= 2:
        if changed:
            yield Finding(
                LEAK,
                "calendar memoriser",
                name,
                f"the same for all at each as_of, {levels} values at {len(shown)} "
                "dates, and another when all of it happens later: it knows the date",
                float(levels),
            )
        elif levels >= 3:
            yield Finding(
                LOOK,
                "the same for all",
                name,
                f"the same for all at each as_of, {levels} values at {len(shown)} "
                "dates: a model can learn the dates by it",
                float(levels),
            )
    elif any(_by_one_step(one, other) for one, other in shown):
        yield Finding(
            LEAK,
            "a date, not an age",
            name,
            "it moves with the calendar by the same step for all: no later as_of "
            "has values a model has seen",
        )
    elif changed:
        yield Finding(
            LOOK,
            "moves with the calendar",
            name,
            "it changes when all of it happens weeks later: it knows the season or the date",
        )


def _moves(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    if one.shape != other.shape:
        return np.ones(1, dtype=bool)
    both = ~(np.isnan(one) | np.isnan(other))
    apart = np.abs(one[both] - other[both]) > RELATIVE * np.maximum(1.0, np.abs(one[both]))
    return np.append(apart, (np.isnan(one) != np.isnan(other)).any())


def _by_one_step(one: np.ndarray, other: np.ndarray) -> bool:
    if one.shape != other.shape:
        return False
    step = (other - one)[~(np.isnan(one) | np.isnan(other))]
    if step.size < FEW or not (middle := float(np.median(step))):
        return False
    scale = RELATIVE * max(1.0, float(np.abs(one[~np.isnan(one)]).max()))
    return abs(middle) > scale and float((np.abs(step - middle) <= scale).mean()) >= 0.9
