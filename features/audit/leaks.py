"""Feature columns that know too much: the outcome, or the calendar.

The outcome is checked for customers at risk: eligible, and not already cancelled by contract. Among
all customers a high AUROC would be no sign of a leak, because those who left long ago are easy to
predict.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from features.audit.findings import AGREED, LEAK, REVIEW, AsOfSlice, Finding, to_floats
from features.audit.ranks import best_auroc, rank_correlation

TOO_GOOD = 0.95
STRONGEST = 5
FEW = 20  # fewer of either outcome give no reliable AUROC
CHANCE = 1e-9  # the probability that missing values separate the outcomes by luck
RELATIVE = 1e-6
MAX_LEVELS = 20


def find_revealing_columns(
    slices: Sequence[AsOfSlice],
    names: Sequence[str],
    contractual: frozenset[str],
    *,
    has_recorded_at: bool = True,
) -> Iterator[Finding]:
    """Columns that reveal the outcome of customers at risk.

    Each as_of with FEW of both outcomes is checked alone, the others together. `contractual`
    columns may reveal it: leaving is then agreed, where somebody stated when it was recorded.
    """
    for group in _groups(slices):
        at = group[-1].at
        for name in names:
            if all(name in one.rows.column_names for one in group):
                values = np.concatenate([one.column_values(name)[one.at_risk] for one in group])
                finding = _check_column(name, values, group, at)
                if finding and name in contractual and finding.kind == REVEALS:
                    finding = (
                        Finding(AGREED, "agreed by contract", name, _AGREED, finding.figure, at)
                        if has_recorded_at
                        else Finding(REVIEW, REVEALS, name, _UNSTATED, finding.figure, at)
                    )
                if finding:
                    yield finding


REVEALS, COPIES = "reveals the outcome", "copies the outcome"
_AGREED = "it reveals the outcome, but reads contracts alone: an agreement that was known"
_UNSTATED = (
    "it reveals the outcome and reads contracts alone, but nothing says when they were recorded: "
    "if their rows were changed later, it is a leak. Select recorded_at"
)
Group = list[AsOfSlice]


def strongest_columns(
    slices: Sequence[AsOfSlice], names: Sequence[str], *, count: int = STRONGEST
) -> dict[str, object]:
    """{"limit": …, "columns": [{name, auroc, as_of}]}: the columns that tell the outcome best.

    The AUROC is that among customers at risk, either way, the highest of all as_of; `as_of` in µs.
    A column above `limit` is a leak. Nobody need agree that one just below it is none.
    """
    best: dict[str, tuple[float, int]] = {}
    for group in _groups(slices):
        y = _outcome(group)
        for name in names:
            if all(name in one.rows.column_names for one in group):
                values = np.concatenate([one.column_values(name)[one.at_risk] for one in group])
                figure = best_auroc(y, values)
                if figure > best.get(name, (0.0, 0))[0]:
                    best[name] = (figure, group[-1].at)
    leading = sorted(best, key=lambda name: (-best[name][0], name))[:count]
    return {
        "limit": TOO_GOOD,
        "columns": [
            {"name": name, "auroc": best[name][0], "as_of": best[name][1]} for name in leading
        ],
    }


def has_enough_outcomes(slices: Sequence[AsOfSlice]) -> bool:
    """Whether any as_of, or some together, have FEW of each outcome among customers at risk."""
    return any(True for _ in _groups(slices))


def _groups(slices: Sequence[AsOfSlice]) -> Iterator[Group]:
    """Each as_of with FEW of each outcome alone, then the others together if that is enough."""
    small = [one for one in slices if not _has_both([one])]
    for one in slices:
        if _has_both([one]):
            yield [one]
    if len(small) > 1 and _has_both(small):
        yield small


def _has_both(group: Group) -> bool:
    y = _outcome(group)
    return min(int(y.sum()), int((~y).sum())) >= FEW


def _outcome(group: Group, name: str = "churned") -> np.ndarray:
    """A column of the outcomes (customers at risk,)."""
    return np.concatenate([np.asarray(one.outcome[name].to_pylist())[one.at_risk] for one in group])


def _check_column(name: str, values: np.ndarray, group: Group, at: int) -> Finding | None:
    y = _outcome(group)
    if (value := best_auroc(y, values)) > TOO_GOOD:
        reason = (
            f"alone it has AUROC {value:.3f} for churn among {len(y):,} customers: "
            "nothing known before as_of predicts that well"
        )
        return Finding(LEAK, REVEALS, name, reason, value, at)
    return _check_copy(name, values, group, at) or _check_missing(name, np.isnan(values), y, at)


def _check_copy(name: str, values: np.ndarray, group: Group, at: int) -> Finding | None:
    """A column that copies the outcome window's activities, or fixes the outcome stage."""
    reason, figure = "", 0.0
    if all("window_activities" in one.outcome.column_names for one in group):
        count = _outcome(group, "window_activities").astype(float)
        reason, figure = _copies_activities(values, count)
    if not reason:
        stages = np.concatenate(
            [np.asarray(one.rows["stage"].to_pylist())[one.at_risk] for one in group]
        )
        reason, figure = _copies_stage(values, _outcome(group, "outcome_stage"), stages)
    return Finding(LEAK, COPIES, name, reason, figure, at) if reason else None


def _copies_activities(values: np.ndarray, count: np.ndarray) -> tuple[str, float]:
    # Zeros are left out: most columns are 0 for many customers without activity.
    active = count > 0
    if active.sum() >= FEW and np.ptp(count[active]) > 0:
        share = float((values[active] == count[active]).mean())
        # Where nearly everybody has the same count, a constant equals it as often.
        counts = np.unique(count[active], return_counts=True)[1]
        if share >= TOO_GOOD and 1 - share < (1 - counts.max() / counts.sum()) / 2:
            return f"it equals the outcome window's activities in {share:.1%} of rows", share
    rank = abs(rank_correlation(values, count))
    if rank > TOO_GOOD:
        return f"it ranks customers like the outcome window's activities (ρ {rank:.3f})", rank
    return "", 0.0


def _copies_stage(values: np.ndarray, stage: np.ndarray, now: np.ndarray) -> tuple[str, float]:
    levels = np.unique(values[~np.isnan(values)])
    if not 2 <= levels.size <= MAX_LEVELS:
        return "", 0.0
    purity = _purity(values, stage)
    # A stage that hardly changes would make every column look like a copy of it.
    if purity >= 0.98 and _purity(now, stage) < TOO_GOOD:
        return "its value determines the outcome stage, which the stage at as_of does not", purity
    return "", 0.0


def _purity(level: np.ndarray, stage: np.ndarray) -> float:
    """The share of rows whose stage is the most frequent one of their level."""
    _, group = np.unique(level, return_inverse=True)
    _, kind = np.unique(stage, return_inverse=True)
    counts = np.zeros((group.max() + 1, kind.max() + 1))
    np.add.at(counts, (group, kind), 1)
    return float(counts.max(axis=1).sum() / len(stage))


def _check_missing(name: str, empty: np.ndarray, y: np.ndarray, at: int) -> Finding | None:
    """A column that has (or lacks) a value only for those who leave, or only for those who stay."""
    for side, condition in ((~empty, "has a value"), (empty, "is empty")):
        rest = y[~side]
        if min(side.sum(), rest.size) >= FEW and (y[side].all() or not y[side].any()):
            share = float(rest.mean() if y[side].all() else 1 - rest.mean())
            # How likely it is by luck, if the others' share held for these customers too.
            if share < 1 and share ** int(side.sum()) < CHANCE:
                outcome = "leave" if y[side].all() else "stay"
                reason = (
                    f"all {int(side.sum()):,} customers for whom it {condition} {outcome}; "
                    f"{share:.0%} of the others do"
                )
                return Finding(LEAK, "missing values reveal the outcome", name, reason, 1.0, at)
    return None


def find_calendar_columns(
    pairs: Sequence[tuple[pa.Table, pa.Table]], names: Sequence[str]
) -> Iterator[Finding]:
    """Columns that depend on the date.

    `pairs`: the rows at an as_of, and the same rows when everything happens weeks later.
    """
    for name in names:
        values = [
            (to_floats(one[name]), to_floats(other[name]))
            for one, other in pairs
            if name in one.column_names and name in other.column_names and one.num_rows >= FEW
        ]
        finding = _check_calendar(name, values) if values else None
        if finding:
            yield finding


def _check_calendar(name: str, pairs: list[tuple[np.ndarray, np.ndarray]]) -> Finding | None:
    changed = any(_differ(one, other) for one, other in pairs)
    constant = [one[0] for one, _ in pairs if not np.isnan(one).any() and np.ptp(one) == 0]
    levels = len(set(constant))
    if len(constant) == len(pairs) >= 2 and levels >= 2:
        same = f"the same for all at each as_of, with {levels} values at {len(pairs)} dates"
        if changed:
            reason = f"{same}, and other values when everything happens later"
            return Finding(LEAK, "encodes the date", name, reason, float(levels))
        if levels >= 3:
            reason = f"{same}: a model can recognise the dates by it"
            return Finding(REVIEW, "the same for all", name, reason, float(levels))
        return None
    if any(_move_by_one_step(one, other) for one, other in pairs):
        reason = (
            "it moves with the calendar by the same step for all: "
            "a later as_of has values that no model has seen"
        )
        return Finding(LEAK, "a date, not an age", name, reason)
    if changed:
        reason = "it changes when everything happens weeks later: it depends on season or date"
        return Finding(REVIEW, "moves with the calendar", name, reason)
    return None


def _differ(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether values differ by more than rounding, or in which of them are null."""
    if one.shape != other.shape or (np.isnan(one) != np.isnan(other)).any():
        return True
    both = ~np.isnan(one)
    scale = RELATIVE * np.maximum(1.0, np.abs(one[both]))
    return bool((np.abs(one[both] - other[both]) > scale).any())


def _move_by_one_step(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether at least 90 % of the values move by the same step, and the step is not 0."""
    if one.shape != other.shape:
        return False
    step = (other - one)[~(np.isnan(one) | np.isnan(other))]
    if step.size < FEW or not (middle := float(np.median(step))):
        return False
    # Rounding must count neither as a step nor as a difference of steps.
    scale = RELATIVE * max(1.0, float(np.abs(one[~np.isnan(one)]).max()))
    return abs(middle) > scale and float((np.abs(step - middle) <= scale).mean()) >= 0.9
