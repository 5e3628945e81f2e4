"""What happened next: the labels, and which stages could have happened at all.

Churn: no activity in [as_of, as_of + horizon), recorded before the window's end + label latency. With contracts:
cover ends or is cancelled in the window and is not renewed within grace; who has no cover at as_of stays by beginning
a term. The outcome stage is the stage rules over Known(as_of) plus the window's activity, the clock at the window's
end; a contractual churner's is `churned` by definition. Windows that are not complete are refused.
"""

from __future__ import annotations

from dataclasses import dataclass

import narwhals as nw
import numpy as np
import pyarrow as pa

from features.core.errors import ImmatureWindow
from features.core.instants import DAY_US, day_text
from features.core.settings import Settings
from features.recipes.definitions import Definitions
from features.recipes.stages import STAGES, endless_cover, state
from features.tables.history import History, Known, active_days

LOCAL_DAY_SHORTEST_US = 23 * 3_600_000_000  # the local day on which clocks go forward
BLOCK = 512  # rows at once: every number of further days for each, in the processor's cache
GROWING, LOYAL = STAGES.index("growing"), STAGES.index("loyal")


@dataclass(frozen=True)
class Outcomes:
    """`rows`: customer_id, churned, outcome_stage, window_activities, sorted; `late`: activity that came too late."""

    rows: pa.Table
    late: int


def mature(as_of: int, *, history: History, settings: Settings) -> bool:
    return as_of + settings.outcome_window_us <= history.data_until


def observe(
    history: History, known: Known, *, definitions: Definitions, settings: Settings
) -> Outcomes:
    """The outcome of everybody with activity known at `known.as_of`; ImmatureWindow if it is not complete yet."""
    if not mature(known.as_of, history=history, settings=settings):
        _refuse(known.as_of, history, settings)
    end = known.as_of + definitions.horizon_days * DAY_US
    seen = history.qualifying(
        history.cut(definitions.activity_table, known.as_of + settings.outcome_window_us)
    )
    days = known.activity.select("customer_id", "local_day", "occurred_at")
    inside = (nw.col("occurred_at") >= known.as_of) & (nw.col("occurred_at") < end)
    window = _new_days(seen.filter(inside), days)
    activity = history.kept(active_days(nw.concat([days, window])))
    # A stayer's cover runs, or a renewal within grace undoes its end: rule 1 does not apply to them.
    then = state(
        activity,
        at=end,
        definitions=definitions,
        cover=endless_cover(known) if definitions.contractual else None,
    )
    counts = window.group_by("customer_id").agg(window_activities=nw.col("local_day").count())
    rows = then.select("customer_id", outcome_stage=nw.col("stage")).join(
        counts, on="customer_id", how="left"
    )
    rows = rows.with_columns(nw.col("window_activities").fill_null(0))
    if definitions.contractual:
        rows = rows.join(_stays(history, known, end, settings), on="customer_id", how="left")
        rows = rows.with_columns(churned=nw.col("stays").is_null())
        stage = (
            nw.when(nw.col("churned")).then(nw.lit("churned")).otherwise(nw.col("outcome_stage"))
        )
        rows = rows.with_columns(outcome_stage=stage)
    else:
        rows = rows.with_columns(churned=nw.col("window_activities") == 0)
    rows = rows.select("customer_id", "churned", "outcome_stage", "window_activities").sort(
        "customer_id"
    )
    late = seen.filter(
        (nw.col("occurred_at") < known.as_of) & (nw.col("recorded_at") >= known.as_of)
    )
    missed = late.select(nw.col("customer_id").count()).collect(backend="pyarrow").to_native()
    return Outcomes(rows.collect(backend="pyarrow").to_native(), missed[0][0].as_py())


def _new_days(rows: nw.LazyFrame, known_days: nw.LazyFrame) -> nw.LazyFrame:
    """The window's activity of customers already active: local days that had no activity known before as_of."""
    people = known_days.select("customer_id").unique()
    days = rows.group_by("customer_id", "local_day").agg(nw.col("occurred_at").min())
    days = days.join(people, on="customer_id", how="semi")
    return days.join(known_days, on=["customer_id", "local_day"], how="anti")


def _stays(history: History, known: Known, end: int, settings: Settings) -> nw.LazyFrame:
    """Customers whose cover goes on past the window: customer_id, stays."""
    grace = settings.churn.grace_days * DAY_US
    terms = history.cut("contracts", known.as_of + settings.outcome_window_us)
    terms = terms.select("customer_id", "starts_at", "ends_at", "cancelled_at")
    table = terms.collect(backend="pyarrow").to_native()
    relation = history.connection.from_arrow(table)
    return nw.from_native(
        relation.query("terms", _STAYS.format(at=known.as_of, end=end, grace=grace))
    )


# Follow each chain of terms from the cover that runs at as_of (or the first term begun in the window) until it breaks
# for longer than grace. Who stays has in it a term that ends after the window and is not itself cancelled in it.
_STAYS = """
WITH ordered AS (
    SELECT *, max(ends_at) OVER (PARTITION BY customer_id ORDER BY starts_at, ends_at
                                 ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS covered_until
    FROM terms
), chain AS (
    SELECT *, bool_or(coalesce(starts_at > covered_until + {grace}, true)
                      AND (coalesce(covered_until > {at}, false) OR starts_at >= {end}))
              OVER (PARTITION BY customer_id ORDER BY starts_at, ends_at
                    ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS broken
    FROM ordered
)
SELECT DISTINCT customer_id, true AS stays FROM chain
WHERE NOT broken AND ends_at > {end} AND NOT coalesce(cancelled_at >= {at} AND cancelled_at < {end}, false)
"""


def _refuse(as_of: int, history: History, settings: Settings) -> None:
    churn = settings.churn
    raise ImmatureWindow(
        where="outcomes",
        got=f"as_of {day_text(as_of, zone=settings.zone)}, and the data end at "
        f"{day_text(history.data_until, zone=settings.zone)}",
        rule=f"A label needs its whole window: as_of + {churn.horizon_days} days + {churn.label_latency_days} days of "
        "latency must not pass the data.",
        fix="Take an earlier as_of, or a shorter [churn] horizon_days.",
    )


def reachable(
    *,
    n: np.ndarray,
    first_at: np.ndarray,
    last_at: np.ndarray,
    as_of: np.ndarray,
    definitions: Definitions,
    stage_without_activity: np.ndarray | None = None,
) -> np.ndarray:
    """Which stages some future of a stayer can reach: bool (rows, 7), erring towards reachable.

    A stayer has k ≥ 1 further active days, k = 1 … horizon + 2. After k of them, the last x into the window,
    g = (2·base + (last − first) + wait + x) / (n + k + 1) and overdue = (h − x) / g, largest for the smallest x. With
    contracts a stayer may also do nothing: `stage_without_activity` (indices) is reachable too, and churned is not.
    """
    m1, m2, m3 = definitions.multiples
    h = float(definitions.horizon_days * DAY_US)
    spent = 2.0 * definitions.base_gap_us + (
        as_of - first_at
    )  # the numerator of g with the last activity at as_of
    most = (
        definitions.horizon_days + 2
    )  # local days a window can touch: it may begin late, and one may have 23 hours
    # k different local days: the k-th begins at least k − 2 whole days after the window does.
    k = np.arange(1, most + 1)[:, None]
    x = np.clip((k - 2) * float(LOCAL_DAY_SHORTEST_US), 0.0, h)
    y = np.clip((k[1:] - 3) * float(LOCAL_DAY_SHORTEST_US), 0.0, h)
    overdue, broken = np.zeros(len(n)), (as_of - last_at) + h >= m2 * (spent + h) / (n + 2)
    for start in range(0, len(n), BLOCK):
        these = slice(start, start + BLOCK)
        overdue[these] = ((h - x) * (n[these] + k + 1) / (spent[these] + x)).max(axis=0)
        broken[these] |= ((h - y) >= m2 * (spent[these] + h) / (n[these] + k[1:] + 1)).any(axis=0)
    out = np.zeros((len(n), len(STAGES)), dtype=bool)
    slack = 1 + 1e-9
    for name, multiple in (("at_risk", m1), ("dormant", m2), ("churned", m3)):
        out[:, STAGES.index(name)] = overdue * slack >= multiple
    out[:, GROWING] = broken | (n + 1 < 4)
    out[:, LOYAL] = n + most >= 4
    if stage_without_activity is not None:
        # Nothing done while cover runs: churned by overdue is dormant then, and can only be reached as dormant.
        out[:, STAGES.index("dormant")] |= out[:, STAGES.index("churned")]
        out[:, STAGES.index("churned")] = False
        out[np.arange(len(n)), stage_without_activity] = True
    return out
