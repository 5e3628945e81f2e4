"""What the audit says beside plain differences: where it looks like a leak, how sure, and why, in words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

LEAK, AGREED, LOOK = "leak", "agreed", "look"


@dataclass(frozen=True)
class Finding:
    """severity: leak (fails the audit), agreed (known by contract, not a leak), look (worth a look). No ids, no values."""

    severity: str
    kind: str
    where: str
    why: str
    figure: float | None = None
    as_of: int | None = None


@dataclass(frozen=True)
class AsOfSlice:
    """Rows at a mature as_of beside what came of them; `asked`: eligible, and leaving is not yet agreed by contract."""

    at: int
    rows: pa.Table
    outcome: pa.Table
    asked: np.ndarray

    @property
    def churned(self) -> np.ndarray:
        return self.outcome["churned"].to_numpy()

    def values(self, name: str) -> np.ndarray:
        """One column as float64 (rows,), NaN where null."""
        return floats(self.rows[name])


def floats(column: pa.ChunkedArray) -> np.ndarray:
    return column.cast(pa.float64()).to_numpy()


def worst(findings: list[Finding]) -> list[Finding]:
    """Of several findings of one kind in one place the one with the highest figure; in the order of severity."""
    best: dict[tuple[str, str, str], Finding] = {}
    for found in findings:
        key = (found.severity, found.kind, found.where)
        if key not in best or (found.figure or 0) > (best[key].figure or 0):
            best[key] = found
    order = (LEAK, AGREED, LOOK)
    return sorted(
        best.values(), key=lambda found: (order.index(found.severity), found.where, found.kind)
    )
