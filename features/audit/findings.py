"""What looks like a leak: where, how severe, and why."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

LEAK, AGREED, REVIEW = "leak", "agreed", "review"


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
