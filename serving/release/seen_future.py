"""What a release has seen of the future, and the refusal of an as_of that it has seen.

A model that learned the outcomes of a window answers about that window better than it could have
at the time. So a release knows the end of the newest outcome window it learned from, and the
instant of its population statistics; an as_of before either is *in sample*. It is refused at every
door, or answered with the warning `in_sample` in every row (docs/decisions/028).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow.parquet as pq

from features.core.errors import AsOfInSample, ReleaseRefused
from features.core.instants import DAY_US, day_text
from features.recipes.definitions import Definitions
from serving.release.file_rules import broken_file, check_rules
from serving.release.json_files import read_json
from serving.release.release_rules import SeenFile

FILE = "seen.json"
IN_SAMPLE = "in_sample"  # the warning
Purpose = Literal["serve", "backfill"]


@dataclass(frozen=True)
class SeenFuture:
    """The end of the newest outcome window a release learned from, label latency included.

    Both instants in µs UTC. `purpose`: a release of a backfill scores the past alone and is never
    served.
    """

    outcomes_until: int
    population_as_of: int
    purpose: Purpose = "serve"

    @property
    def earliest_as_of(self) -> int:
        """The first as_of (µs UTC) of which the release has seen nothing.

        >>> SeenFuture(outcomes_until=20, population_as_of=10).earliest_as_of
        20
        """
        return max(self.outcomes_until, self.population_as_of)

    def to_mapping(self) -> dict[str, Any]:
        """JSON-ready data, the content of seen.json."""
        return asdict(self)


def read_seen(folder: Path, name: str, definitions: Definitions) -> SeenFuture:
    """The content of seen.json; ReleaseRefused where it contradicts the other files."""
    content = read_json(folder / FILE, name)
    check_rules(SeenFile, content, file=FILE, name=name)
    seen = SeenFuture(**content)
    population = pq.read_table(folder / "population.parquet", columns=["as_of"])["as_of"]
    if population.to_pylist() != [seen.population_as_of]:
        raise broken_file(name, f"{FILE}: population_as_of is not that of population.parquet")
    window = (definitions.horizon_days + definitions.label_latency_days) * DAY_US
    if seen.outcomes_until < seen.population_as_of + window:
        raise broken_file(name, f"{FILE}: outcomes_until is before its outcomes' end")
    return seen


def is_backfill(folder: Path) -> bool:
    """Whether the release in a folder was written by a backfill; False where it cannot be read."""
    try:
        return read_json(folder / FILE, folder.name).get("purpose") == "backfill"
    except ReleaseRefused:
        return False


def refuse_in_sample(
    seen: SeenFuture, as_of: Sequence[int], *, zone: str, allow: bool = False
) -> bool:
    """Whether an `as_of` (µs UTC) lies before what the release has seen; AsOfInSample then.

    `allow`: no error; the rows of that instant must be marked (`IN_SAMPLE`).
    """
    earliest = min(as_of, default=seen.earliest_as_of)
    if earliest >= seen.earliest_as_of:
        return False
    if not allow:
        raise in_sample_error(seen, earliest, zone=zone)
    return True


def in_sample_error(seen: SeenFuture, as_of: int, *, zone: str, where: str = "as_of") -> Exception:
    """The error for an instant that the release has seen: both instants, and the ways out."""
    day, first = (day_text(at, zone=zone) for at in (as_of, seen.earliest_as_of))
    population = day_text(seen.population_as_of, zone=zone)
    return AsOfInSample(
        where=where,
        got=f"{day}; the release has learned outcomes until "
        f"{day_text(seen.outcomes_until, zone=zone)} and population statistics of {population}",
        rule="A release scores no as_of before what it has learned: its scores would rest on "
        "outcomes that nobody knew then.",
        fix=f"Use as_of {first} or later. For honest scores of {day}: "
        f"lifecycle backfill --from {day} --to {day} (or the release of that day: "
        f"lifecycle train --as-of {day}). Or accept marked scores: --in-sample "
        "(in_sample=True in Python, in_sample: true in a request with events).",
    )


def refuse_backfill_release(seen: SeenFuture, name: str) -> None:
    """ReleaseRefused for a release that a backfill wrote: it scores its past runs alone."""
    if seen.purpose == "backfill":
        raise ReleaseRefused(
            where=f"release {name}",
            got="a release of a backfill",
            rule="A release of a backfill scores past dates alone and is never served.",
            fix="Promote a release of `lifecycle train`. Type: lifecycle promote",
        )
