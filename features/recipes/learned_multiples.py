"""The stage multiples, learned from the gaps between activities: where the stages begin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from features.recipes.activity_days import ActivityDays, SomeDays
from features.recipes.stages import Multiples, usual_gap

FEW_GAPS = 500
DEFAULT_MULTIPLES = (2.0, 4.0, 8.0)
# Of the spells that reach m3; a larger share means that customers are called churned too early.
MAX_REACTIVATED = 0.10
M3_STEP = 0.25


@dataclass(frozen=True)
class Reactivation:
    """Learned multiples, and what they mean for reactivation.

    reached: spells that lasted m3·g or longer. reactivated_share: the share of them that activity
    ended; None without.
    """

    multiples: Multiples
    reached: int
    reactivated_share: float | None


def learn_multiples(
    days: ActivityDays,
    population_mean_gap_us: int,
    *,
    as_of: int,
    configured: list[float] | None,
) -> Reactivation:
    """Multiples from the 80, 95 and 99 % quantiles of gap / g.

    m3 is raised until at most 10 % of those that reach it are reactivated, but not above 4·m2.
    A spell is a completed gap or the open wait at as_of. It reached m3 when it was at least m3·g
    long, with g as known before it. configured: [stages] multiples, used as they are. With fewer
    than 500 completed gaps: 2, 4, 8.
    """
    closed, waiting = np.empty(days.gaps), np.empty(len(days.customers))
    gaps = people = 0
    for part in days.parts():
        closed[gaps : gaps + part.closing.size] = _closed_gaps(part, population_mean_gap_us)
        waiting[people : people + part.starts.size] = _waiting(part, population_mean_gap_us, as_of)
        gaps, people = gaps + part.closing.size, people + part.starts.size
    if configured is not None:
        return _reactivation((configured[0], configured[1], configured[2]), closed, waiting)
    if closed.size < FEW_GAPS:
        return _reactivation(DEFAULT_MULTIPLES, closed, waiting)
    return _multiples_from_quantiles(closed, waiting)


def _closed_gaps(part: SomeDays, population_mean_gap_us: int) -> np.ndarray:
    """Every completed gap in usual gaps, as known before it: it must not raise its own unit."""
    usual = usual_gap(
        first=part.first[part.closing],
        last=part.at[part.closing - 1],
        count=part.position[part.closing] - 1,
        population_mean_gap_us=population_mean_gap_us,
    )
    return part.gaps / usual


def _waiting(part: SomeDays, population_mean_gap_us: int, as_of: int) -> np.ndarray:
    """(customers,) the time since each one's last activity, in usual gaps."""
    last = part.at[part.last]
    usual = usual_gap(
        first=part.at[part.starts],
        last=last,
        count=part.counts,
        population_mean_gap_us=population_mean_gap_us,
    )
    return (as_of - last) / usual


def _multiples_from_quantiles(closed: np.ndarray, waiting: np.ndarray) -> Reactivation:
    points = np.quantile(closed, (0.80, 0.95, 0.99))
    # The factors keep the stages apart where the quantiles lie close together.
    m1 = max(1.25, float(points[0]))
    m2 = max(1.5 * m1, float(points[1]))
    m3 = max(1.5 * m2, float(points[2]))
    learned = _reactivation((m1, m2, m3), closed, waiting)
    while (learned.reactivated_share or 0) > MAX_REACTIVATED and m3 + M3_STEP <= 4 * m2:
        m3 += M3_STEP
        learned = _reactivation((m1, m2, m3), closed, waiting)
    return learned


def _reactivation(multiples: Multiples, closed: np.ndarray, waiting: np.ndarray) -> Reactivation:
    m1, m2, m3 = (round(multiple, 6) for multiple in multiples)
    # Counted with the multiple before rounding, by which it was chosen.
    ended, still_open = int(np.sum(closed >= multiples[2])), int(np.sum(waiting >= multiples[2]))
    reached = ended + still_open
    return Reactivation((m1, m2, m3), reached, ended / reached if reached else None)
