"""Leak signs of columns that cannot be computed again: what they tell of who will leave.

Looked at are customers at risk at instants whose outcome is known. What a column tells is compared
with what our best column alone tells of the same rows, so that a column is not accused of saying
what was known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from features.audit import leaks
from features.audit.feature_table.auroc import Auroc, auroc_alone, difference
from features.audit.feature_table.matching import MatchedRows
from features.audit.feature_table.our_columns import numbers_of
from features.audit.findings import LEAK, REVIEW, AsOfSlice, Finding

FEW = leaks.FEW
FORETELLS, EMPTY_FORETELLS = "foretells the outcome", "missing values foretell the outcome"
CHANGES = "changes only after leaving"
# How much more AUROC than our best column's, at the low end of the interval of the difference.
TOO_MUCH, MUCH = 0.10, 0.03
# The leavers among flagged customers: the share from which it is evidence, how much above what our
# best column expects of them, and by how many standard errors; or all of them, and the chance.
NEARLY_ALL, EXCESS, ERRORS, CHANCE = 0.90, 0.10, 5.0, 1e-9
# Or fewer leavers, where it is more still above what is expected.
MANY, LARGE_EXCESS = 0.75, 0.25
BINS, EXPECTING = 20, 10
RARE = 0.01  # of the rows of customers who stay


@dataclass(frozen=True)
class Evidence:
    """The rows at risk. y, customers (rows,); `best`: our best column alone, by name.

    expected: by each of our EXPECTING best columns, the share of leavers among rows with about the
    same value, (rows,).
    """

    y: np.ndarray
    customers: np.ndarray
    best_name: str
    best: Auroc
    expected: Mapping[str, np.ndarray]
    at_risk: np.ndarray

    def alone(self, column: np.ndarray) -> Auroc:
        """The AUROC of a column of all rows, of those at risk."""
        return auroc_alone(self.y, column[self.at_risk], self.customers)


def collect_evidence(matched: MatchedRows) -> Evidence | None:
    """None where fewer than FEW rows at risk leave or stay, or no column of ours varies."""
    at_risk = matched.at_risk
    y, customers = matched.churned[at_risk], matched.customers[at_risk]
    if min(int(y.sum()), int((~y).sum())) < FEW:
        return None
    ours = {
        name: column[at_risk]
        for name, column in numbers_of(matched.rows, matched.table.as_of).items()
    }
    alone = {
        name: auroc_alone(y, column, customers)
        for name, column in ours.items()
        if np.unique(column).size > 1
    }
    if not alone:
        return None
    leading = sorted(alone, key=lambda name: -alone[name].value)[:EXPECTING]
    best = leading[0]
    expected = {name: _expected(y, ours[name]) for name in leading}
    return Evidence(y, customers, best, alone[best], expected, at_risk)


def _expected(y: np.ndarray, column: np.ndarray) -> np.ndarray:
    """The share of leavers in the bin of each row: BINS of equal size, empty a bin of its own."""
    edges = np.nanquantile(column, np.linspace(0, 1, BINS + 1)[1:-1])
    bins = np.where(np.isnan(column), BINS, np.searchsorted(edges, column, side="right"))
    _, group = np.unique(bins, return_inverse=True)
    rates = np.bincount(group, weights=y) / np.bincount(group)
    return np.asarray(rates[group])


def find_signs(
    matched: MatchedRows, evidence: Evidence, columns: Mapping[str, np.ndarray]
) -> Iterator[Finding]:
    """Findings about `columns` (name: all rows as numbers), those that were not cleared."""
    names = [name for name in columns if name != "stage"]
    revealed = list(leaks.find_revealing_columns(_slices(matched, columns), names, frozenset()))
    yield from revealed
    for name, column in columns.items():
        if not np.isnan(column[evidence.at_risk]).all():
            yield from _check_foretells(name, evidence, column)
    # Every level of a text is empty in the same rows: its name without the level is enough.
    whole = {name.partition(" = ")[0]: column for name, column in columns.items()}
    accused = {one.where for one in revealed}
    for name, column in whole.items():
        if name not in accused:
            yield from _check_empty(name, evidence, np.isnan(column))
    for name, column in _codes(matched, columns).items():
        yield from _check_changes(name, matched, evidence, column)


def _slices(matched: MatchedRows, columns: Mapping[str, np.ndarray]) -> list[AsOfSlice]:
    at = matched.table.as_of
    theirs = {name: pa.array(column, from_pandas=True) for name, column in columns.items()}
    rows = pa.table({**theirs, "stage": matched.rows["stage"]})  # the checks read our stage
    slices = []
    for instant in np.unique(at):
        mask = at == instant
        known = ~np.asarray(matched.outcome["churned"].filter(mask).is_null().to_numpy())
        if known.all():
            part, outcome = rows.filter(mask), matched.outcome.filter(mask)
            slices.append(AsOfSlice(int(instant), part, outcome, matched.at_risk[mask]))
    return slices


def _check_foretells(name: str, evidence: Evidence, column: np.ndarray) -> Iterator[Finding]:
    alone = evidence.alone(column)
    gain, low = difference(alone, evidence.best, evidence.customers)
    if low < MUCH:
        return
    severity = LEAK if low >= TOO_MUCH else REVIEW
    ours = evidence.best
    reason = (
        f"alone it foretells churn with an AUROC of {alone.value:.3f} "
        f"({alone.low:.3f}–{alone.high:.3f}) among {len(evidence.y):,} rows of customers at risk; "
        f"the best of our columns, {evidence.best_name}, has {ours.value:.3f} "
        f"({ours.low:.3f}–{ours.high:.3f}): {gain:.3f} more, at least {low:.3f}"
    )
    if severity == REVIEW:
        reason += ". A score of many columns, or data that are in no table here, can do so honestly"
    yield Finding(severity, FORETELLS, name, reason, alone.value)


def _check_empty(name: str, evidence: Evidence, empty: np.ndarray) -> Iterator[Finding]:
    flagged = empty[evidence.at_risk]
    for mask, words in ((flagged, "is empty"), (~flagged, "has a value")):
        if reason := _excess(mask, evidence, f"rows in which it {words}"):
            yield Finding(LEAK, EMPTY_FORETELLS, name, reason[0], reason[1])


def _check_changes(
    name: str, matched: MatchedRows, evidence: Evidence, column: np.ndarray
) -> Iterator[Finding]:
    """A column that hardly ever changes for a customer, but for those who leave."""
    changed = _changed(matched, column)[evidence.at_risk]
    if changed[~evidence.y].mean() > RARE:
        return
    if reason := _excess(changed, evidence, "rows in which it is no longer what it was first"):
        yield Finding(LEAK, CHANGES, name, reason[0], reason[1])


def _changed(matched: MatchedRows, column: np.ndarray) -> np.ndarray:
    """Whether a row differs from the first row of its customer, bool (rows,); sorted by as_of."""
    first: dict[int, float] = {}
    changed = np.zeros(len(column), dtype=bool)
    for place, customer in enumerate(matched.customers.tolist()):
        value = float(column[place])
        before = first.setdefault(customer, value)
        changed[place] = value != before and not (np.isnan(value) and np.isnan(before))
    return changed


def _excess(mask: np.ndarray, evidence: Evidence, words: str) -> tuple[str, float] | None:
    """The evidence that nearly all of the masked rows leave, beyond what our best column expects.

    One row of each customer, the first, counts: rows of one customer are not independent.
    """
    places = np.flatnonzero(mask)
    _, firsts = np.unique(evidence.customers[places], return_index=True)
    places = places[firsts]
    if places.size < FEW or places.size > 0.9 * np.unique(evidence.customers).size:
        return None
    share = float(evidence.y[places].mean())
    # Of our best columns the one that expects most of these rows to leave.
    name = max(evidence.expected, key=lambda one: float(evidence.expected[one][places].mean()))
    chances = np.clip(evidence.expected[name][places], 1e-9, 1 - 1e-9)
    expected = float(chances.mean())
    error = np.sqrt((chances * (1 - chances)).sum()) / places.size
    by_chance = float(np.exp(np.log(chances).sum()))
    certain = share == 1 and by_chance < CHANCE
    excess = share - expected
    strong = share >= NEARLY_ALL and excess >= max(EXCESS, ERRORS * error)
    large = share >= MANY and excess >= max(LARGE_EXCESS, ERRORS * error)
    if not (certain or strong or large):
        return None
    reason = (
        f"{share:.1%} of {places.size:,} customers leave after {words}; by {name}, the one of our "
        f"best columns that expects most of them to, {expected:.1%} would"
    )
    return reason, share


def _codes(matched: MatchedRows, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Every column with a number for each text, instants as they are: an age changes by itself."""
    names: Sequence[str] = [name.partition(" = ")[0] for name in columns]
    codes: dict[str, np.ndarray] = {}
    for name in dict.fromkeys(names):
        if name in matched.table.texts:
            texts = [str(value) for value in matched.table.texts[name]]
            codes[name] = np.unique(texts, return_inverse=True)[1].astype(float)
        elif name in matched.table.instants:
            codes[name] = matched.table.instants[name]
        elif name in columns:
            codes[name] = columns[name]
    return codes
