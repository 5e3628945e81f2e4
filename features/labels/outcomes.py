"""Outcomes: the labels of churn and of the next stage, and the stages that could have been reached.

Churn: no activity in [as_of, as_of + horizon), recorded before the window's end + label latency.
With contracts: cover ends or is cancelled in the window and is not renewed within grace; a customer
without cover at as_of stays by beginning a term. A term that renews (`features.tables.terms`) has
not ended while it runs on: neither at as_of, nor at the window's end where a renewal could not be
known yet. The outcome stage results from the stage rules over Known(as_of) plus the window's
activity, with the clock at the window's end; with contracts a churned customer's is `churned` by
definition. Incomplete windows are refused.
"""

from __future__ import annotations

from dataclasses import dataclass

import narwhals as nw
import numpy as np
import pyarrow as pa

from features.core.errors import ImmatureWindow
from features.core.instants import DAY_US, HOUR_US, day_text, end_text
from features.core.settings import Settings
from features.labels.outcome_window import OutcomeWindow
from features.recipes.cover import endless_cover, scored_customers
from features.recipes.definitions import Definitions
from features.recipes.stages import STAGES, state
from features.tables.history import History, Known, active_days

# The local day on which clocks go forward.
LOCAL_DAY_SHORTEST_US = 23 * HOUR_US
BLOCK = 512  # rows at once, so that the (days, rows) arrays stay in the processor's cache
NEW, GROWING, LOYAL = (STAGES.index(stage) for stage in ("new", "growing", "loyal"))


@dataclass(frozen=True)
class Outcomes:
    """The outcomes at one as_of.

    rows: customer_id, churned, outcome_stage, window_activities, sorted by customer. late:
    activities before as_of that were recorded after it.
    """

    rows: pa.Table
    late: int


def is_mature(as_of: int, *, history: History, settings: Settings) -> bool:
    """Whether the outcome window of `as_of` (µs), label latency included, lies within the data."""
    return as_of + settings.outcome_window_us <= history.data_until


def observe_outcomes(
    history: History, known: Known, *, definitions: Definitions, settings: Settings
) -> Outcomes:
    """The outcomes of everybody with activity or cover known at one instant.

    Raises ImmatureWindow where the window is not complete.
    """
    as_of = known.instant
    refuse_immature(as_of, history, settings)
    future = OutcomeWindow.after(as_of, settings)
    events = history.qualifying(history.cut(definitions.activity_table, future.known_until))
    days = known.activity.select("customer_id", "local_day", "occurred_at")
    people = scored_customers(known, contractual=definitions.contractual)
    window = _new_days(events.filter(future.contains("occurred_at")), days, people)
    rows = _outcome_stages(history, known, days, window, future.end, definitions)
    if definitions.contractual:
        rows = _with_contractual_churn(rows, stays(history, known, future.end, settings))
    else:
        rows = rows.with_columns(churned=nw.col("window_activities") == 0)
    rows = rows.select("customer_id", "churned", "outcome_stage", "window_activities")
    late = events.filter((nw.col("occurred_at") < as_of) & (nw.col("recorded_at") >= as_of))
    late = late.select(nw.col("customer_id").count()).collect(backend="pyarrow").to_native()
    rows = rows.sort("customer_id").collect(backend="pyarrow").to_native()
    return Outcomes(rows, late[0][0].as_py())


def _outcome_stages(
    history: History,
    known: Known,
    days: nw.LazyFrame,
    window: nw.LazyFrame,
    end: int,
    definitions: Definitions,
) -> nw.LazyFrame:
    """customer_id, outcome_stage, window_activities of everybody with activity or cover."""
    activity = history.materialise(active_days(nw.concat([days, window])))
    # The cover of a customer who stays runs on, or a renewal within grace replaces it: the rule
    # no_cover never applies.
    stages = state(
        activity,
        at=end,
        definitions=definitions,
        cover=endless_cover(known) if definitions.contractual else None,
    )
    counts = window.group_by("customer_id").agg(window_activities=nw.col("local_day").count())
    rows = stages.select("customer_id", outcome_stage=nw.col("stage"))
    rows = rows.join(counts, on="customer_id", how="left")
    return rows.with_columns(nw.col("window_activities").fill_null(0))


def _with_contractual_churn(rows: nw.LazyFrame, stays: nw.LazyFrame) -> nw.LazyFrame:
    rows = rows.join(stays, on="customer_id", how="left")
    rows = rows.with_columns(churned=nw.col("stays").is_null())
    stage = nw.when(nw.col("churned")).then(nw.lit("churned")).otherwise(nw.col("outcome_stage"))
    return rows.with_columns(outcome_stage=stage)


def _new_days(rows: nw.LazyFrame, known_days: nw.LazyFrame, people: nw.LazyFrame) -> nw.LazyFrame:
    """The window's activity of `people`, on local days without activity before as_of."""
    days = rows.group_by("customer_id", "local_day").agg(nw.col("occurred_at").min())
    days = days.join(people, on="customer_id", how="semi")
    return days.join(known_days, on=["customer_id", "local_day"], how="anti")


def stays(history: History, known: Known, end: int, settings: Settings) -> nw.LazyFrame:
    """Customers whose cover continues past the window: customer_id, stays (True)."""
    until = known.instant + settings.outcome_window_us
    # What is cancelled after the window has nothing to do with it, though it is known.
    terms = history.cut("contracts", until, cancelled_before=end)
    terms = terms.select(
        "customer_id",
        "starts_at",
        "ends_at",
        "cancelled_at",
        "plan",
        "runs_until",
        "renew_by",
        "begins_cover",
    )
    table = terms.collect(backend="pyarrow").to_native()
    relation = history.connection.from_arrow(table)
    return nw.from_native(
        relation.query("terms", _STAYS.format(at=known.as_of, end=end, until=until))
    )


# Follow each chain of terms from the cover at as_of (or from the first term that begins in the
# window) until a break. A customer stays whose chain has a term that outlasts the window and is not
# cancelled in it: one that ends later, or one that renews and whose time to renew is not over when
# the outcome is read.
_STAYS = """
WITH ordered AS (
    SELECT *, max(runs_until) OVER (PARTITION BY customer_id ORDER BY starts_at, ends_at, plan
                                    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
              AS covered_until
    FROM terms
), chain AS (
    SELECT *, bool_or(begins_cover
                      AND (coalesce(covered_until > {at}, false) OR starts_at >= {end}))
              OVER (PARTITION BY customer_id ORDER BY starts_at, ends_at, plan
                    ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS broken
    FROM ordered
)
SELECT DISTINCT customer_id, true AS stays FROM chain
WHERE NOT broken AND (ends_at > {end} OR (runs_until > ends_at AND runs_until > {until}))
      AND NOT coalesce(cancelled_at >= {at} AND cancelled_at < {end}, false)
"""


def refuse_immature(as_of: int, history: History, settings: Settings) -> None:
    """ImmatureWindow where the outcome window of `as_of` (µs) is not complete."""
    if is_mature(as_of, history=history, settings=settings):
        return
    churn = settings.churn
    raise ImmatureWindow(
        where="outcomes",
        got=f"as_of {day_text(as_of, zone=settings.zone)}; the data end at "
        f"{end_text(history.data_until, zone=settings.zone)}",
        rule=f"A label needs its whole window: as_of + {churn.horizon_days} days + "
        f"{churn.label_latency_days} days of latency must not lie after the end of the data.",
        fix="Use an earlier as_of or a shorter [churn] horizon_days.",
    )


def reachable_stages(
    *,
    n: np.ndarray,
    first_at: np.ndarray,
    last_at: np.ndarray,
    as_of: np.ndarray,
    definitions: Definitions,
    stage_without_activity: np.ndarray | None = None,
) -> np.ndarray:
    """Which stages a customer who stays can reach: bool (rows, 7). In doubt a stage is reachable.

    n, first_at, last_at, as_of: (rows,), the customer's state at as_of, instants in µs; for a
    customer without activity (n = 0) first_at and last_at are as_of.

    Such a customer has k = 1 … horizon + 2 further days with activity. After k of them, the last at
    x into the window, g = (2·population mean gap + (as_of − first) + x) / (n + k + 1), and overdue
    = (h − x) / g at the window's end, which is largest for the smallest x. With contracts a
    customer can also stay without activity: then `stage_without_activity` (indices) is reachable
    too, and churned is not.
    """
    m1, m2, m3 = definitions.multiples
    overdue, broken = _extreme_futures(n, first_at, last_at, as_of, definitions)
    out = np.zeros((len(n), len(STAGES)), dtype=bool)
    slack = 1 + 1e-9  # the rounding error of two orders of the same sum
    for name, multiple in (("at_risk", m1), ("dormant", m2), ("churned", m3)):
        out[:, STAGES.index(name)] = overdue * slack >= multiple
    # The first activity of all makes a customer new.
    out[:, NEW] = n == 0
    out[:, GROWING] = broken | (n + 1 < 4)
    out[:, LOYAL] = n + _most_local_days(definitions) >= 4
    if stage_without_activity is not None:
        # While cover runs, a customer overdue enough for churned is dormant.
        out[:, STAGES.index("dormant")] |= out[:, STAGES.index("churned")]
        out[:, STAGES.index("churned")] = False
        out[np.arange(len(n)), stage_without_activity] = True
    return out


def _most_local_days(definitions: Definitions) -> int:
    """The local days a window can touch: it may begin late on a day, one may have 23 hours."""
    return definitions.horizon_days + 2


def _extreme_futures(
    n: np.ndarray,
    first_at: np.ndarray,
    last_at: np.ndarray,
    as_of: np.ndarray,
    definitions: Definitions,
) -> tuple[np.ndarray, np.ndarray]:
    """The largest overdue at the window's end, and whether a gap ≥ m2·g can occur: both (rows,)."""
    m2, h = definitions.multiples[1], float(definitions.horizon_days * DAY_US)
    # The numerator of g, were the last activity at as_of.
    spent = 2.0 * definitions.population_mean_gap_us + (as_of - first_at)
    # Of k different local days, the k-th begins at least k − 2 whole days after the window.
    k = np.arange(1, _most_local_days(definitions) + 1)[:, None]
    x = np.clip((k - 2) * float(LOCAL_DAY_SHORTEST_US), 0.0, h)
    y = np.clip((k[1:] - 3) * float(LOCAL_DAY_SHORTEST_US), 0.0, h)
    overdue, broken = np.zeros(len(n)), (as_of - last_at) + h >= m2 * (spent + h) / (n + 2)
    for start in range(0, len(n), BLOCK):
        these = slice(start, start + BLOCK)
        overdue[these] = ((h - x) * (n[these] + k + 1) / (spent[these] + x)).max(axis=0)
        broken[these] |= ((h - y) >= m2 * (spent[these] + h) / (n[these] + k[1:] + 1)).any(axis=0)
    return overdue, broken
