"""The release of an earlier day: what a training may see then, and how its release is marked.

It is trained on a copy of the tables that ends at the day on both clocks (`open_past`), so nothing
that was recorded at or after it can change a byte of the release.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from features.core.errors import BadSetting, NotEnoughData
from features.core.instants import day_text, midnight_after, midnight_before
from features.core.settings import Settings
from features.labels.event_times import outcomes_until
from features.tables.cut_history import cut_history
from features.tables.history import History, refuse_too_late
from serving.release.release import Release
from serving.release.seen_future import Purpose, SeenFuture, refuse_in_sample
from training.examples import Examples
from training.plan import first_known_activity, make_plan, without_eval_dates
from training.tracking.pending import RunRecord


@dataclass(frozen=True)
class PastTraining:
    """A training as of the local day `day`; `purpose`: serve, or backfill (never served)."""

    day: str
    purpose: Purpose = "serve"

    def mark_record(self, record: RunRecord) -> RunRecord:
        """The record with tags that say so; releases of a backfill are not registered."""
        tags = {**record.tags, "trained_as_of": self.day, "purpose": self.purpose}
        if self.purpose == "backfill":
            return replace(record, tags=tags, release=None, models=())
        return replace(record, tags=tags)


def open_past(
    history: History, settings: Settings, at: int, *, purpose: Purpose = "serve"
) -> tuple[History, Settings, PastTraining]:
    """What a training as of `at` (µs UTC) takes: `job.train(history, settings, past=past)`.

    Configured evaluation dates are ignored, because they may lie ahead of it: the newest complete
    window is evaluated, as in a backtest. AsOfTooLate for an instant beyond the data.
    """
    refuse_too_late(history, settings, at)
    _refuse_too_early(history, settings, at)
    past = PastTraining(day_text(at, zone=settings.zone), purpose)
    settings = without_eval_dates(settings)
    return cut_history(history, settings, at), settings, past


def _refuse_too_early(history: History, settings: Settings, at: int) -> None:
    """NotEnoughData for an instant before the data begin, with the days that may be given."""
    first = first_known_activity(history)
    if at > first:
        return
    zone = settings.zone
    # As many outcome windows as a plan needs: one to evaluate, one before it to learn from, and as
    # much past for the features of the latter.
    earliest = midnight_after(first + 3 * settings.outcome_window_us, zone)
    latest = midnight_before(history.data_until, zone)
    days = f"Give a day from {day_text(earliest, zone=zone)} to {day_text(latest, zone=zone)}."
    raise NotEnoughData(
        where=f"as_of {day_text(at, zone=zone)}",
        got=f"the data begin at {day_text(first, zone=zone)}",
        rule="A training as of a day learns from what was known before it.",
        fix=days if earliest <= latest else "Add older rows to the tables.",
    )


def what_to_train_on(
    history: History, settings: Settings, at: int | None, *, only: str | None
) -> tuple[History, Settings, PastTraining | None]:
    """`open_past`, or with `at` None what was given. BadSetting for one model as of an earlier day.

    `only`: the one model; the other would come from a release that knows what came after.
    """
    if at is None:
        return history, settings, None
    if only is not None:
        raise BadSetting(
            where="train",
            got="one model with --as-of",
            rule="The release of an earlier day has both models of that day.",
            fix=f"Leave {only} out.",
        )
    return open_past(history, settings, at)


def refuse_learned_window(history: History, settings: Settings, at: int) -> None:
    """AsOfInSample where a training on this history would learn the outcomes of `at` (µs UTC).

    To be asked before the minutes that the training takes.
    """
    plan = make_plan(history, settings)
    instants = (*plan.train, *plan.evaluate, *plan.refit)
    seen = SeenFuture(outcomes_until(instants, history, settings), max(instants))
    refuse_in_sample(seen, [at], zone=settings.zone)


def what_was_seen(
    examples: Examples,
    history: History,
    settings: Settings,
    *,
    other: Release | None = None,
    past: PastTraining | None = None,
) -> SeenFuture:
    """What the release of these examples has seen of the future.

    `other`: the release that the other model came from, which may have seen more.
    """
    instants = [population.as_of for population in examples.population_stats]
    until = outcomes_until(instants, history, settings)
    if other is not None:
        until = max(until, other.seen.earliest_as_of)
    return SeenFuture(until, max(instants), past.purpose if past else "serve")
