"""Tables that fell silent before the newest row of all tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from features.core.instants import DAY_US, day_text, midnight_after
from features.core.settings import Settings
from features.plausibility.finding import Finding
from features.tables.freshness import RecordedDays, needed_tables
from features.tables.history import History


def find_silent_feeds(
    history: History, settings: Settings, recorded: Mapping[str, RecordedDays], *, now: int
) -> Iterator[Finding]:
    """Each table that is stale at the local midnight after the newest row of all tables.

    Also each `fresh_until` that lies after `now` (µs): it would hide a silent feed for that long.
    recorded: `freshness.read_recorded_days`.
    """
    at = midnight_after(max(history.newest_until, history.data_until), settings.zone)
    for name, each in recorded.items():
        fresh = each.at(at)
        if each.configured_until is not None and each.configured_until > now + DAY_US:
            until = day_text(each.configured_until, zone=settings.zone)
            yield Finding(
                "fresh_until_ahead",
                name,
                f"[contract] fresh_until says that it is complete until {until}, which is ahead: "
                "until then a feed that stops would not be seen.",
                "Give the instant until which the rows were complete when they were exported.",
            )
        if not fresh.is_stale:
            continue
        end, last = (day_text(t, zone=settings.zone) for t in (fresh.complete_until or 0, at))
        consequence = (
            "Nobody is scored after that, and no label counts on it."
            if name in needed_tables(settings)
            else f"Scores do without it and say without:{name}."
        )
        yield Finding(
            "silent_feed",
            name,
            f"no row since {end}, {fresh.quiet_days:.0f} days before the newest row of all tables; "
            f"at most {fresh.allowed_days:.1f} days of quiet are usual. {consequence}",
            f"Load the missing rows. If nothing happened, write under [contract]: fresh_until = "
            f'{{ {name} = "{last}" }}',
            counts={
                "quiet_days": round(fresh.quiet_days, 1),
                "allowed_days": fresh.allowed_days or 0,
            },
        )
