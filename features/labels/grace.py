"""Grace from the data: how long after the end of cover late renewals come, and how many days of grace let them count.

Counted are the ends of cover that are old enough to know: what would come within UNTIL_DAYS has come. Ends younger
than that are left out altogether, renewed or not, because the quick renewals among them would be seen and the slow
ones not.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from features.core.instants import DAY_US
from features.core.settings import Settings
from features.tables.history import History

WITHIN_DAYS = (0, 1, 3, 7, 14, 30, 60)
UNTIL_DAYS = 90
ENOUGH = 0.95  # of the renewals that come within UNTIL_DAYS
CAME_BACK = 0.10  # at most, of those whom the grace gives up: as for the stage multiples
FEWEST = 30  # renewals: under that nothing is suggested


def account(history: History, settings: Settings) -> dict[str, Any]:
    """What `check` says of a contractual business, as plain data.

    ended, too_young (of these left out), renewed (of the rest, within UNTIL_DAYS); `within`: share of the counted ends
    renewed within so many days (None without any); `suggested` days of grace (None under FEWEST renewals): the fewest
    within which ENOUGH of the renewals came, and after which at most CAME_BACK of those not renewed yet still were;
    `grace_days` as configured; `missed`: share of those not renewed within it who renewed after it.
    """
    ended, late = _ends(history)
    known = late[ended + UNTIL_DAYS * DAY_US <= history.data_until]
    days = np.ceil(known[~np.isnan(known)] / DAY_US).astype(int)
    by_day = np.bincount(days[days <= UNTIL_DAYS], minlength=UNTIL_DAYS + 1)
    came, grace = np.cumsum(by_day), settings.churn.grace_days
    missed = _came_back(came, len(known))
    return {
        "ended": len(ended),
        "too_young": len(ended) - len(known),
        "renewed": int(came[-1]),
        "within": {
            str(most): float(came[most] / len(known)) if len(known) else None
            for most in WITHIN_DAYS
        },
        "suggested": _suggested(came, missed),
        "grace_days": grace,
        "missed": float(missed[min(grace, UNTIL_DAYS)]) if len(known) else None,
    }


def _came_back(came: np.ndarray, counted: int) -> np.ndarray:
    """By days of grace: the share of those not renewed by then who renewed later; 0 where nobody is left."""
    return (came[-1] - came) / np.maximum(counted - came, 1)


def _suggested(came: np.ndarray, missed: np.ndarray) -> int | None:
    if came[-1] < FEWEST:
        return None
    return int(np.flatnonzero((came >= ENOUGH * came[-1]) & (missed <= CAME_BACK))[0])


def _ends(history: History) -> tuple[np.ndarray, np.ndarray]:
    """Ends of cover by the end of the data (µs), and how long after each the next term began (µs; NaN: none did).

    A term inside another ends nothing. A next term that begins before the end came 0 late.
    """
    terms = history.cut("contracts", history.data_until).select(
        "customer_id", "starts_at", "ends_at"
    )
    relation = history.connection.from_arrow(terms.collect(backend="pyarrow").to_native())
    found = relation.query("terms", _ENDS.format(until=history.data_until)).to_arrow_table()
    late = found["late"].cast("float64").to_numpy(zero_copy_only=False)
    return found["ended"].to_numpy(), late


_ENDS = """
WITH ordered AS (
    SELECT *, max(ends_at) OVER (PARTITION BY customer_id ORDER BY starts_at, ends_at
                                 ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS covered_until
    FROM terms
), further AS (
    SELECT ends_at, lead(starts_at) OVER (PARTITION BY customer_id ORDER BY starts_at, ends_at) AS next_at
    FROM ordered WHERE covered_until IS NULL OR ends_at > covered_until
)
SELECT ends_at AS ended, CASE WHEN next_at IS NOT NULL THEN greatest(next_at - ends_at, 0) END AS late
FROM further WHERE ends_at <= {until}
"""


def advice(found: dict[str, Any]) -> list[str]:
    """One sentence where the grace that is set takes many late renewals for leaving."""
    suggested, grace = found["suggested"], found["grace_days"]
    if suggested is None or suggested <= grace:
        return []
    return [
        f"{found['missed']:.0%} of those who had not renewed after grace_days = {grace} did so later, and count as churn: "
        f"[churn] grace_days = {suggested} would wait for most of them (label_latency_days at least as much)."
    ]


def lines(found: dict[str, Any]) -> list[str]:
    """The account for people."""
    counted = found["ended"] - found["too_young"]
    told = [
        f"  renewals: of {counted:,} ends of cover {found['renewed']:,} were renewed within {UNTIL_DAYS} days"
        f" ({found['too_young']:,} ends younger than {UNTIL_DAYS} days are left out: theirs may still come)"
    ]
    if counted:
        shares = "  ".join(f"{days}: {share:.1%}" for days, share in found["within"].items())
        told.append(f"            renewed within days  {shares}")
    suggested = (
        f"under {FEWEST} renewals, none suggested"
        if found["suggested"] is None
        else f"suggested {found['suggested']}"
    )
    return [*told, f"            grace_days: {suggested}; set to {found['grace_days']}"]
