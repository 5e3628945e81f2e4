"""Errors of a request by the entry that has them: all of them in one refusal, or each at its place.

What is listed is bounded: paths and rules, never an id or a value.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from features.core.errors import Malformed

MOST_LISTED, MOST_OF_ENTRY = 100, 10  # in a refusal; for one entry
MOST_COUNTED = 1000  # beyond, an entry's further errors are not looked for


@dataclass
class EntryErrors:
    """The errors of a request's entries, by their places in it.

    `each`: an entry with errors is answered as such, and the others are scored; else the request is
    refused as a whole. `count`: all errors that were looked for.
    """

    each: bool = False
    by_place: dict[int, list[Malformed]] = field(default_factory=dict)
    count: int = 0

    def add(self, place: int, error: Malformed) -> None:
        """Note an error of the entry at this place."""
        self.by_place.setdefault(place, []).append(error)
        self.count += 1

    @property
    def is_full(self) -> bool:
        """Whether only the first error of further entries is looked for."""
        return self.count >= MOST_COUNTED

    def skips(self, place: int) -> bool:
        """Whether a further error of this entry is not looked for."""
        return self.is_full and (not self.each or place in self.by_place)

    def refuse_whole(self) -> None:
        """Malformed with all errors, unless there is none, or each is answered at its place."""
        if self.count and not self.each:
            raise refusal(
                [error for errors in self.by_place.values() for error in errors], self.count
            )

    def of_entry(self, place: int) -> list[dict[str, str]]:
        """What an answer says of the entry: the path and rule of its first errors."""
        return listed_errors(self.by_place[place][:MOST_OF_ENTRY])


def refusal(errors: Iterable[Malformed], count: int) -> Malformed:
    """The first error, with the list of those that are shown, and how many there are."""
    first, *others = errors
    first.errors = (first, *others)[:MOST_LISTED]
    first.error_count = count
    return first


def listed_errors(errors: Iterable[Malformed]) -> list[dict[str, str]]:
    """Path and rule of each."""
    return [{"where": error.where, "rule": error.rule} for error in errors]
