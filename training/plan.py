"""Which instants are trained on, and which are only looked at afterwards.

Embargo: a training as_of plus horizon plus label latency never passes the earliest evaluation as_of, and nothing more
is asked. Every instant is a local midnight.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import islice

import narwhals as nw

from features.core.errors import ImmatureWindow, NotEnoughData
from features.core.instants import DAY_US, day_text, instant, local_date, midnight_before
from features.core.settings import Settings
from features.labels.outcomes import mature
from features.tables.history import History


@dataclass(frozen=True)
class Plan:
    """Instants (µs): `train` before the embargo of the earliest of `evaluate`; `refit` all mature ones."""

    train: tuple[int, ...]
    evaluate: tuple[int, ...]
    refit: tuple[int, ...]


def make_plan(history: History, settings: Settings) -> Plan:
    """Plan from the settings and the data's span; errors when no window is complete or a stated date is not mature."""
    first = first_activity(history)
    span = settings.outcome_window_us
    newest = midnight_before(history.data_until - span, settings.zone)
    if newest <= first:
        raise ImmatureWindow(
            where="[churn] horizon_days",
            got=f"activity from {day_text(first, zone=settings.zone)} to "
            f"{day_text(history.data_until, zone=settings.zone)}",
            rule=f"The data must be longer than the horizon ({settings.churn.horizon_days} days) and label latency.",
            fix="Shorten the horizon, or bring more history.",
        )
    evaluate = tuple(
        sorted(instant(day, zone=settings.zone) for day in settings.training.evaluate)
    ) or (newest,)
    refuse_immature(evaluate, history, settings, where="[training] evaluate")
    enough = first + (settings.training.history_days or settings.churn.horizon_days) * DAY_US
    last = midnight_before(evaluate[0] - span, settings.zone)
    train = _steps(last, settings, while_=lambda at: at >= enough, towards=-1)[
        : settings.training.max_dates
    ]
    # The refit goes on in the same steps (those rows exist already) and takes the evaluation dates in.
    onward = _steps(last, settings, while_=lambda at: at <= newest, towards=1)
    refit = sorted({*train, *(at for at in onward if at >= enough), *evaluate})
    return Plan(tuple(sorted(train)), evaluate, tuple(refit[-settings.training.max_dates :]))


def refuse_immature(
    instants: Sequence[int], history: History, settings: Settings, *, where: str
) -> None:
    """ImmatureWindow for the first instant whose outcomes are not all known yet; `where` it was stated."""
    for at in instants:
        if not mature(at, history=history, settings=settings):
            raise ImmatureWindow(
                where=where,
                got=f"{day_text(at, zone=settings.zone)}, and the data end at "
                f"{day_text(history.data_until, zone=settings.zone)}",
                rule="An evaluation date's outcome window must be complete.",
                fix="Name an earlier date.",
            )


def _steps(
    start: int, settings: Settings, *, while_: Callable[[int], bool], towards: int
) -> list[int]:
    """Local midnights `step_days` apart from `start` on, as long as the condition holds."""
    day, found = local_date(start, settings.zone), []
    while while_(at := instant(day, zone=settings.zone)):
        found.append(at)
        day += timedelta(days=towards * settings.training.step_days)
    return found


def refuse_without_dates(plan: Plan, settings: Settings) -> None:
    """NotEnoughData when the span leaves no training date before the embargo."""
    if not plan.train:
        raise NotEnoughData(
            where="training",
            got="no training date before the evaluation date",
            rule="Training needs a horizon of history, a complete window, and an evaluation date after it: three "
            f"horizons of {settings.churn.horizon_days} days.",
            fix="Shorten [churn] horizon_days, set [training] history_days lower, or bring more history.",
        )


def rolling(history: History, settings: Settings, *, most: int) -> tuple[int, ...]:
    """The newest mature local midnight and those before it, `step_days` apart, on which a training had a date to train on.

    At most `most`, oldest first; () where there is none. Stated evaluation dates play no part.
    """
    span = settings.outcome_window_us
    newest, first = (
        midnight_before(history.data_until - span, settings.zone),
        first_activity(history),
    )
    found = _steps(newest, settings, while_=lambda at: at > first, towards=-1)
    able = (at for at in found if make_then(history, settings, at).train)
    return tuple(sorted(islice(able, most)))


def make_then(history: History, settings: Settings, at: int) -> Plan:
    """The plan a training at the instant `at` had made; no dates where no window was complete by then."""
    try:
        return make_plan(as_if(history, at), undated(settings))
    except (ImmatureWindow, NotEnoughData):
        return Plan((), (), ())


def as_if(history: History, at: int) -> History:
    """The history as if `at` were today: the data end there. What lies behind it is still there, and must not matter."""
    return replace(history, data_until=at)


def undated(settings: Settings) -> Settings:
    """The settings without evaluation dates of their own: the newest complete window is evaluated on."""
    return settings.model_copy(
        update={"training": settings.training.model_copy(update={"evaluate": []})}
    )


def first_activity(history: History) -> int:
    """The first activity known by the data's end; NotEnoughData where there is none."""
    rows = history.qualifying(history.cut(history.activity_table, history.data_until))
    found = (
        rows.select(nw.col("occurred_at").min())
        .collect(backend="pyarrow")
        .to_native()[0][0]
        .as_py()
    )
    if found is None:
        raise NotEnoughData(
            where="[activity]",
            got=f"no row of kind {', '.join(history.activity_kinds)} in {history.activity_table} "
            "before the data's end",
            rule="Activity drives gaps, stages and churn; there must be some.",
            fix="Name kinds that the table has ([activity] kinds).",
        )
    return found
