"""What looks like a leak: where, how severe, and why."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

LEAK, AGREED, REVIEW = "leak", "agreed", "review"


_LEAVE_OUT = (
    "Leave the column out of its SELECT, or select recorded_at: since when each value was known."
)
_OWN_FEATURE = 'Switch it off: [features] off = ["…"]. If it is a feature of your own, correct it.'
# What to do about a leak, by its kind.
_FIXES = {
    "as of today": "Leave the column out of the SELECT of customers, or select valid_from with it: "
    "since when each value holds.",
    "load time": "Leave the column out of the SELECT: it says when rows were loaded.",
    "bulk load": "Leave recorded_at out of the SELECT and set [contract] arrives_after_hours.",
    "written back": "Leave these rows out of the SELECT, or select recorded_at with them.",
    "foretells": _LEAVE_OUT,
    "overwritten": _LEAVE_OUT,
}


@dataclass(frozen=True)
class Finding:
    """A column that looks like a leak. It holds no customer ids and no values.

    severity: leak (fails the audit), agreed (known by contract, so no leak), review (a person
    should look at it). figure: the share or AUROC that decided. as_of: µs, if it was seen at one.
    """

    severity: str
    kind: str
    where: str
    reason: str
    figure: float | None = None
    as_of: int | None = None

    @property
    def fix(self) -> str:
        """What to type or change; empty where nothing has to be done."""
        if self.severity != LEAK:
            return ""
        return _FIXES.get(self.kind, _OWN_FEATURE)


@dataclass(frozen=True)
class AsOfSlice:
    """Rows at a mature as_of and their outcomes (rows match).

    at_risk: (rows,) bool, customers who are eligible and have not agreed by contract to leave.
    """

    at: int
    rows: pa.Table
    outcome: pa.Table
    at_risk: np.ndarray

    @property
    def churned(self) -> np.ndarray:
        return self.outcome["churned"].to_numpy()

    def column_values(self, name: str) -> np.ndarray:
        """One column as float64 (rows,), NaN where null."""
        return to_floats(self.rows[name])


def to_floats(column: pa.ChunkedArray) -> np.ndarray:
    """The column as float64 (rows,), NaN where null."""
    return column.cast(pa.float64()).to_numpy()


def keep_worst(findings: list[Finding]) -> list[Finding]:
    """The finding with the highest figure of each severity, kind and place, leaks first."""
    best: dict[tuple[str, str, str], Finding] = {}
    for finding in findings:
        key = (finding.severity, finding.kind, finding.where)
        if key not in best or (finding.figure or 0) > (best[key].figure or 0):
            best[key] = finding
    order = (LEAK, AGREED, REVIEW)
    return sorted(best.values(), key=lambda one: (order.index(one.severity), one.where, one.kind))
