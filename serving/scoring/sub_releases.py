"""Scorers for the days on which a table is stale, and for requests without one.

A release holds, beside its whole scorer, one that never learned from each table it can do without,
and one that learned from none of them. A row is scored by the one that lacks the fewest tables
among those that lack all that is missing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from serving.scoring.scorer import Scorer
from serving.scoring.targets import Target

EVIDENCE_CAP = "some"  # the best grade of a score that a table is missing for


@dataclass(frozen=True)
class SubRelease:
    """A scorer of which no column, statistic or definition reads a table of `lacks` (sorted).

    `targets`: the models of the business's own targets that read none of them either.
    """

    lacks: tuple[str, ...]
    scorer: Scorer
    targets: tuple[Target, ...] = ()

    @property
    def name(self) -> str:
        """Its name in files and figures, e.g. `feedback` or `customers-feedback`."""
        return joined_name(self.lacks)


def joined_name(lacks: Sequence[str]) -> str:
    """The name of the sub-release that lacks these tables."""
    return "-".join(lacks)


def choose_sub_release(
    whole: SubRelease, sub_releases: Sequence[SubRelease], missing: Collection[str]
) -> SubRelease:
    """What scores rows without the tables `missing`; `whole` lacks none.

    A missing table that no scorer learned from is no reason for another scorer.
    """
    lacking = set(missing) & {table for each in sub_releases for table in each.lacks}
    if not lacking:
        return whole
    usable = [each for each in sub_releases if lacking <= set(each.lacks)]
    return min(usable, key=lambda each: (len(each.lacks), each.lacks))
