"""Grace: how late renewals come after the end of cover, and the days of grace that include them.

Only ends of cover at least UNTIL_DAYS before the end of the data are counted, since all their
renewals within UNTIL_DAYS are known. Later ends are left out, renewed or not: their quick renewals
would be seen, their slow ones not.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from features.core.instants import DAY_US
from features.core.language import say
from features.core.settings import Settings
from features.tables.history import History

WITHIN_DAYS = (0, 1, 3, 7, 14, 30, 60)
UNTIL_DAYS = 90
ENOUGH = 0.95  # of the renewals that come within UNTIL_DAYS
MAX_MISSED = 0.10  # of those not renewed within grace, who renew later: as for the stage multiples
FEWEST = 30  # renewals; with fewer, no grace is suggested


def report(history: History, settings: Settings) -> dict[str, Any]:
    """Late renewals of a contractual business, as plain data.

    ended: ends of cover. too_young: those of them left out. renewed: of the others, within
    UNTIL_DAYS. within: share of the others renewed within a number of days (None without any).
    suggested: days of grace; the fewest within which ENOUGH of the renewals came, and after which
    at most MAX_MISSED of those not renewed yet still renewed (None with fewer than FEWEST
    renewals). grace_days: as configured. missed: share of those not renewed within grace_days who
    renewed later.
    """
    ended, late = _ends(history)
    known = late[ended + UNTIL_DAYS * DAY_US <= history.data_until]
    days = np.ceil(known[~np.isnan(known)] / DAY_US).astype(int)
    by_day = np.bincount(days[days <= UNTIL_DAYS], minlength=UNTIL_DAYS + 1)
    came, grace = np.cumsum(by_day), settings.churn.grace_days
    missed = _renewed_later(came, len(known))
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


def _renewed_later(came: np.ndarray, counted: int) -> np.ndarray:
    """By days of grace: of those not renewed by then, the share that renewed later (else 0)."""
    return (came[-1] - came) / np.maximum(counted - came, 1)


def _suggested(came: np.ndarray, missed: np.ndarray) -> int | None:
    if came[-1] < FEWEST:
        return None
    return int(np.flatnonzero((came >= ENOUGH * came[-1]) & (missed <= MAX_MISSED))[0])


def _ends(history: History) -> tuple[np.ndarray, np.ndarray]:
    """Ends of cover before the end of the data (µs), and the time until the next term began.

    Arrays (ends,); the time in µs, 0 where the next term began before the end, NaN where none
    began. A term that lies within another one has no end of its own.
    """
    terms = history.cut("contracts", history.data_until).select(
        "customer_id", "starts_at", "ends_at"
    )
    relation = history.connection.from_arrow(terms.collect(backend="pyarrow").to_native())
    ends = relation.query("terms", _ENDS.format(until=history.data_until)).to_arrow_table()
    late = ends["late"].cast("float64").to_numpy(zero_copy_only=False)
    return ends["ended"].to_numpy(), late


_ENDS = """
WITH ordered AS (
    SELECT *, max(ends_at) OVER (PARTITION BY customer_id ORDER BY starts_at, ends_at
                                 ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS covered_until
    FROM terms
), further AS (
    SELECT ends_at,
           lead(starts_at) OVER (PARTITION BY customer_id ORDER BY starts_at, ends_at) AS next_at
    FROM ordered WHERE covered_until IS NULL OR ends_at > covered_until
)
SELECT ends_at AS ended,
       CASE WHEN next_at IS NOT NULL THEN greatest(next_at - ends_at, 0) END AS late
FROM further WHERE ends_at <= {until}
"""


def advice(report: dict[str, Any]) -> list[str]:
    """One sentence where the configured grace counts many late renewals as churn; else nothing."""
    suggested, grace = report["suggested"], report["grace_days"]
    if suggested is None or suggested <= grace:
        return []
    return [
        f"{report['missed']:.0%} of those not renewed after grace_days = {grace} renewed later "
        f"and count as churn. Set [churn] grace_days = {suggested} to include most of them "
        "(and label_latency_days to more than that, so that the last day of it is seen)."
    ]


def report_lines(report: dict[str, Any]) -> list[str]:
    """The report as lines for the terminal."""
    counted = report["ended"] - report["too_young"]
    lines = [
        say(
            "  renewals: {renewed:,} of {counted:,} ends of cover were renewed within {days} days "
            "({too_young:,} ends are less than {days} days old and not counted)",
            renewed=report["renewed"],
            counted=counted,
            too_young=report["too_young"],
            days=UNTIL_DAYS,
        )
    ]
    if counted:
        shares = "  ".join(f"{days}: {share:.1%}" for days, share in report["within"].items())
        lines.append(say("            renewed within days  {shares}", shares=shares))
    if report["suggested"] is None:
        last = say(
            "            grace_days: fewer than {least} renewals, none suggested; configured "
            "{days}",
            least=FEWEST,
            days=report["grace_days"],
        )
    else:
        last = say(
            "            grace_days: suggested {suggested}; configured {days}",
            suggested=report["suggested"],
            days=report["grace_days"],
        )
    return [*lines, last]
