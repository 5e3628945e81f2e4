"""Which instants are trained on, and which are only evaluated on.

Embargo: a training as_of plus horizon plus label latency never passes the earliest evaluation
as_of. Every instant is a local midnight.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import islice

import narwhals as nw

from features.core.errors import ImmatureWindow, NotEnoughData
from features.core.instants import DAY_US, day_text, end_text, instant, local_date, midnight_before
from features.core.settings import Settings
from features.labels.outcomes import is_mature
from features.tables.history import History


@dataclass(frozen=True)
class Plan:
    """Instants (µs), each tuple ascending.

    `train` ends before the embargo of the earliest of `evaluate`; `refit`: the newest mature ones.
    """

    train: tuple[int, ...]
    evaluate: tuple[int, ...]
    refit: tuple[int, ...]


def make_plan(
    history: History, settings: Settings, *, evaluate: tuple[int, ...] | None = None
) -> Plan:
    """The plan of a training from the settings and the span of the data.

    `evaluate`: instants (µs, ascending) in place of the configured ones. ImmatureWindow where no
    outcome window is complete or a configured date is not mature.
    """
    first = first_activity(history)
    window = settings.outcome_window_us
    # From a midnight back: a window that crosses a change of clocks would else end after the last
    # local midnight of the data, where the next run scores.
    end = midnight_before(history.data_until, settings.zone)
    newest = midnight_before(end - window, settings.zone)
    if newest <= first:
        raise _too_short(first, history, settings)
    evaluate = evaluate or _evaluation_dates(settings) or (newest,)
    refuse_immature(evaluate, history, settings, where="[training] evaluate")
    enough = first + (settings.training.history_days or settings.churn.horizon_days) * DAY_US
    last = midnight_before(evaluate[0] - window, settings.zone)
    train = _midnights(last, settings, while_=lambda at: at >= enough, direction=-1)[
        : settings.training.max_dates
    ]
    # The refit continues in the same steps, because those rows are computed already, and adds the
    # evaluation dates.
    onward = _midnights(last, settings, while_=lambda at: at <= newest, direction=1)
    refit = sorted({*train, *(at for at in onward if at >= enough), *evaluate})
    return Plan(tuple(sorted(train)), evaluate, tuple(refit[-settings.training.max_dates :]))


def _evaluation_dates(settings: Settings) -> tuple[int, ...]:
    return tuple(sorted(instant(day, zone=settings.zone) for day in settings.training.evaluate))


def _too_short(first: int, history: History, settings: Settings) -> ImmatureWindow:
    ends = (first, history.data_until)
    span = " to ".join(end_text(at, zone=settings.zone) for at in ends)
    return ImmatureWindow(
        where="[churn] horizon_days",
        got=f"activity from {span}",
        rule="The data must be longer than the horizon "
        f"({settings.churn.horizon_days} days) and label latency.",
        fix="Set a smaller [churn] horizon_days, or add older rows to the tables.",
    )


def refuse_immature(
    instants: Sequence[int], history: History, settings: Settings, *, where: str
) -> None:
    """ImmatureWindow for the first instant whose outcomes are not all known yet.

    `where` names the setting or option with the instants.
    """
    for at in instants:
        if not is_mature(at, history=history, settings=settings):
            raise ImmatureWindow(
                where=where,
                got=f"{day_text(at, zone=settings.zone)}, and the data end at "
                f"{end_text(history.data_until, zone=settings.zone)}",
                rule="The outcome window of an evaluation date must be complete.",
                fix="Give an earlier date.",
            )


def _midnights(
    start: int, settings: Settings, *, while_: Callable[[int], bool], direction: int
) -> list[int]:
    """Local midnights `step_days` apart from `start` on, as long as the condition holds.

    `direction`: 1 forward in time, −1 backward.
    """
    day, instants = local_date(start, settings.zone), []
    while while_(at := instant(day, zone=settings.zone)):
        instants.append(at)
        day += timedelta(days=direction * settings.training.step_days)
    return instants


def refuse_without_dates(plan: Plan, settings: Settings) -> None:
    """NotEnoughData when the span leaves no training date before the embargo."""
    if not plan.train:
        raise NotEnoughData(
            where="training",
            got="no training date before the evaluation date",
            rule="Training needs a horizon of history, a complete outcome window, and an "
            f"evaluation date after it: three horizons of {settings.churn.horizon_days} days.",
            fix="Set a smaller [churn] horizon_days or [training] history_days, or add older rows.",
        )


def rolling_dates(history: History, settings: Settings, *, most: int) -> tuple[int, ...]:
    """The newest mature local midnights, `step_days` apart, each with a training date before it.

    At most `most`, oldest first; () where there is none. Configured evaluation dates are ignored.
    """
    first = first_activity(history)
    newest = midnight_before(history.data_until - settings.outcome_window_us, settings.zone)
    instants = _midnights(newest, settings, while_=lambda at: at > first, direction=-1)
    trainable = (at for at in instants if plan_as_of(history, settings, at).train)
    return tuple(sorted(islice(trainable, most)))


def plan_as_of(history: History, settings: Settings, at: int) -> Plan:
    """The plan of a training at the instant `at`; without dates where no window was complete."""
    try:
        return make_plan(truncated_at(history, at), without_eval_dates(settings))
    except (ImmatureWindow, NotEnoughData):
        return Plan((), (), ())


def truncated_at(history: History, at: int) -> History:
    """The history with the data's end at `at`.

    Later rows are still there, but every reader cuts at the data's end, so they must not matter.
    """
    return replace(history, data_until=at)


def without_eval_dates(settings: Settings) -> Settings:
    """The settings without configured evaluation dates: the newest complete window is evaluated."""
    return settings.model_copy(
        update={"training": settings.training.model_copy(update={"evaluate": []})}
    )


def first_known_activity(history: History) -> int:
    """The first instant (µs) before which an activity had happened and was recorded.

    NotEnoughData where there is none.
    """
    rows = history.qualifying(history.cut(history.activity_table, history.data_until))
    clocks = rows.select(nw.max_horizontal("occurred_at", "recorded_at").min())
    instant_us = clocks.collect(backend="pyarrow").to_native()[0][0].as_py()
    return first_activity(history) if instant_us is None else instant_us


def first_activity(history: History) -> int:
    """The first activity (µs) known by the data's end; NotEnoughData where there is none."""
    rows = history.qualifying(history.cut(history.activity_table, history.data_until))
    first = rows.select(nw.col("occurred_at").min()).collect(backend="pyarrow").to_native()
    instant_us = first[0][0].as_py()
    if instant_us is None:
        raise NotEnoughData(
            where="[activity]",
            got=f"no row of kind {', '.join(history.activity_kinds)} in {history.activity_table} "
            "before the data's end",
            rule="Gaps, stages and churn are computed from activity, so there must be some.",
            fix="Set [activity] kinds to kinds that the table has.",
        )
    return instant_us
