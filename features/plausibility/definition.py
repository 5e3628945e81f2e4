"""How the definition of churn moves its figures: `lifecycle check --definition`.

One value is changed at a time. All rows stand at one as_of and are followed for equally long after
their outcome window, so that the share of those who came back can be compared.
"""

from __future__ import annotations

from typing import Any

import narwhals as nw
import pyarrow.compute as pc

from features.core.errors import NotEnoughData
from features.core.instants import DAY_US, day_text, midnight_before
from features.core.language import say
from features.core.settings import Settings
from features.engine.build import current_state
from features.labels.outcomes import observe_outcomes
from features.plausibility.finding import percent_of
from features.recipes.definitions import learn_definitions
from features.tables.history import History

TIMES = (0.5, 1.0, 1.5, 2.0)
GRACE_DAYS = (0, 3, 7, 14, 30)


def definition_report(history: History, settings: Settings) -> dict[str, Any]:
    """Eligible customers, churn rate and the share that came back, by definition of churn.

    `rows`: one dict for each definition (horizon_days, eligible_days, grace_days, configured,
    eligible, churn_rate, came_back). eligible_days is None with contracts, grace_days without.
    came_back: of the eligible customers who left, the share with activity (with contracts: with a
    term that began) in `followed_days` after the window and grace; None without any who left.
    Raises NotEnoughData where the data are too short for the longest window.
    """
    grid = _grid(settings)
    followed = settings.churn.horizon_days
    longest = max(each.outcome_window_us for each in grid)
    at = midnight_before(history.data_until - longest - followed * DAY_US, settings.zone)
    known = history.as_of(at)
    if not known.activity.select(nw.len()).collect(backend="pyarrow").to_native()[0][0].as_py():
        raise NotEnoughData(
            where="check --definition",
            got=f"no activity before {day_text(at, zone=settings.zone)}",
            rule="Twice the longest horizon must lie within the data, after some activity.",
            fix="Add older data, or set a shorter [churn] horizon_days.",
        )
    return {
        "as_of": day_text(at, zone=settings.zone),
        "followed_days": followed,
        "rows": [_row(history, each, settings, at, followed) for each in grid],
    }


def _grid(settings: Settings) -> list[Settings]:
    """The configured definition, and those that differ from it in one value; without repeats."""
    churn = settings.churn
    changes: list[dict[str, int]] = [{}]
    # eligible_days stays what it is while the horizon changes: one value at a time.
    fixed = {} if settings.contractual else {"eligible_days": settings.eligible_days}
    for times in TIMES:
        changes.append({"horizon_days": max(1, round(churn.horizon_days * times))})
        if not settings.contractual:
            changes.append({"eligible_days": max(1, round(settings.eligible_days * times))})
    if settings.contractual:
        changes += [{"grace_days": days} for days in GRACE_DAYS]
    grid = []
    for change in changes:
        values = {**churn.model_dump(), **fixed, **change}
        values["label_latency_days"] = max(values["label_latency_days"], values["grace_days"])
        each = settings.model_copy(update={"churn": type(churn)(**values)})
        if each not in grid:
            grid.append(each)
    key = ("horizon_days", "eligible_days", "grace_days")
    # The configured one first, then by what was changed.
    return [grid[0], *sorted(grid[1:], key=lambda each: _changed(each, grid[0], key))]


def _changed(one: Settings, configured: Settings, names: tuple[str, ...]) -> tuple[int, int]:
    for place, name in enumerate(names):
        value = getattr(one.churn, name)
        if value != getattr(configured.churn, name):
            return place, value
    return -1, 0


def _row(
    history: History, settings: Settings, configured: Settings, at: int, followed: int
) -> dict[str, Any]:
    churn = settings.churn
    known = history.as_of(at)
    definitions = learn_definitions(known, settings)
    people = known.materialise(current_state(known, definitions))
    rows = people.select("customer_id", "eligible").collect(backend="pyarrow").to_native()
    eligible = rows.filter(rows["eligible"])["customer_id"]
    observed = observe_outcomes(history, known, definitions=definitions, settings=settings).rows
    observed = observed.filter(pc.is_in(observed["customer_id"], value_set=eligible))
    left = observed.filter(observed["churned"])["customer_id"]
    after = at + (churn.horizon_days + churn.grace_days) * DAY_US
    returned = _active_again(history, settings, after, after + followed * DAY_US)
    came_back = pc.sum(pc.is_in(left, value_set=returned)).as_py() or 0
    same = churn.horizon_days == configured.churn.horizon_days and (
        settings.eligible_days == configured.eligible_days
        and churn.grace_days == configured.churn.grace_days
    )
    return {
        "horizon_days": churn.horizon_days,
        "eligible_days": None if settings.contractual else settings.eligible_days,
        "grace_days": churn.grace_days if settings.contractual else None,
        "configured": same,
        "eligible": len(eligible),
        "churn_rate": len(left) / len(eligible) if len(eligible) else None,
        "came_back": came_back / len(left) if len(left) else None,
    }


def _active_again(history: History, settings: Settings, begin: int, end: int) -> Any:
    """Ids with activity in [begin, end) µs; with contracts, with a term that began in it."""
    if settings.contractual:
        rows, clock = history.cut("contracts", history.data_until), nw.col("starts_at")
    else:
        table = history.cut(settings.activity.table, history.data_until)
        rows, clock = history.qualifying(table), nw.col("occurred_at")
    inside = rows.filter((clock >= begin) & (clock < end)).select("customer_id").unique()
    return inside.collect(backend="pyarrow").to_native()["customer_id"]


def definition_lines(report: dict[str, Any]) -> list[str]:
    """The report as a table for the terminal."""

    def share(value: float | None) -> str:
        return "–" if value is None else percent_of(value, 1)

    lines = [
        say(
            "  as of {as_of}; those who left were followed for {days} days more",
            as_of=report["as_of"],
            days=report["followed_days"],
        ),
        say("    horizon  eligible_days  grace  eligible     left  came back"),
    ]
    for row in report["rows"]:
        days = [
            ("–" if row[name] is None else row[name]) for name in ("eligible_days", "grace_days")
        ]
        lines.append(
            f"  {row['horizon_days']:>9}{days[0]:>15}{days[1]:>7}{row['eligible']:>10,}"
            f"{share(row['churn_rate']):>9}{share(row['came_back']):>11}"
            + (say("  configured") if row["configured"] else "")
        )
    return lines
