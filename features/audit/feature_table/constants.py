"""Columns that are the same at every date of a customer, though they follow what came later.

A lifetime value as of the export, written into the rows of every date: it ranks customers like
their whole history, and not like what was known at each date.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from features.audit.feature_table.closeness import unit_ranks
from features.audit.feature_table.matching import MatchedRows
from features.audit.feature_table.our_columns import numbers_of
from features.audit.findings import LEAK, Finding

AS_OF_EXPORT = "as of the export"
FEWEST_CUSTOMERS = 20
CONSTANT = 0.98  # of the customers with several rows
RANKED, CLOSER = 0.80, 0.05
LEVELS = 3  # fewer values rank customers like nothing


def find_constants(matched: MatchedRows, columns: Mapping[str, np.ndarray]) -> list[Finding]:
    """Findings about columns that are constant per customer and rank like the end of the data."""
    candidates = {
        name: column
        for name, column in columns.items()
        if np.unique(column[~np.isnan(column)]).size >= LEVELS
        and _constant_share(matched, column) >= CONSTANT
    }
    if not candidates:
        return []
    at = matched.table.as_of
    ids = matched.table.keys["customer_id"]
    end = np.full_like(at, matched.ours.history.data_until)
    then = numbers_of(matched.rows, at)
    whole = matched.ours.values_at(ids, end)
    names = list(whole)
    findings = []
    # At the earliest date most lies ahead; at one date nothing varies but the customer.
    earliest = at == at.min()
    before = np.array([unit_ranks(then[name][earliest]) for name in names])
    after = np.array([unit_ranks(whole[name][earliest]) for name in names])
    for name, column in candidates.items():
        ranks = unit_ranks(column[earliest])
        known, later = np.abs(before @ ranks), np.abs(after @ ranks)
        place = int(np.argmax(later))
        if later[place] >= RANKED and later[place] - known.max() >= CLOSER:
            reason = (
                f"it is the same at every date for {_constant_share(matched, column):.0%} of the "
                f"customers with several rows, and at the first date it ranks them like "
                f"{names[place]} at the end of the data (ρ {later[place]:.3f}); nothing known "
                f"then comes nearer than ρ {known.max():.3f}"
            )
            findings.append(Finding(LEAK, AS_OF_EXPORT, name, reason, float(later[place])))
    return findings


def _constant_share(matched: MatchedRows, column: np.ndarray) -> float:
    """The share of customers with one value in all rows, of those with several; 0 of few."""
    _, group = np.unique(matched.customers, return_inverse=True)
    rows = np.bincount(group)
    filled = np.where(np.isnan(column), np.inf, column)
    low, high = np.full(rows.size, np.inf), np.full(rows.size, -np.inf)
    np.minimum.at(low, group, filled)
    np.maximum.at(high, group, filled)
    several = rows > 1
    return float((low == high)[several].mean()) if several.sum() >= FEWEST_CUSTOMERS else 0.0
