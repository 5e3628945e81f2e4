"""What a training does about tables that were silent: some dates, or a whole table, are left out.

A date at which a table was stale would teach that customers who did nothing stay as they are. A
table that is still stale at the newest date is left out of the release altogether.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from features.core.settings import Settings
from features.tables.freshness import RecordedDays, needed_tables
from training.plan import Plan


@dataclass(frozen=True)
class FreshPlan:
    """A plan without stale dates. tables: those left out altogether. dates: those left out (µs)."""

    plan: Plan
    tables: tuple[str, ...]
    dates: tuple[int, ...]


def leave_out_silence(
    plan: Plan, recorded: Mapping[str, RecordedDays], settings: Settings
) -> FreshPlan:
    """The plan without the dates at which a table was stale that a score can do without.

    Evaluation dates stay, and so do all dates where none would be left to train on.
    """
    optional = {
        name: days for name, days in recorded.items() if name not in needed_tables(settings)
    }
    newest = max((*plan.evaluate, *plan.refit))
    silent = tuple(name for name, days in optional.items() if days.at(newest).is_stale)
    others = [days for name, days in optional.items() if name not in silent]
    stale = {
        at for at in (*plan.train, *plan.refit) if any(days.at(at).is_stale for days in others)
    } - set(plan.evaluate)
    train = _without(plan.train, stale)
    if not train:
        return FreshPlan(plan, silent, ())
    fresh = replace(plan, train=train, refit=_without(plan.refit, stale))
    return FreshPlan(fresh, silent, tuple(sorted(stale)))


def _without(instants: tuple[int, ...], stale: Collection[int]) -> tuple[int, ...]:
    return tuple(at for at in instants if at not in stale)
