"""Rows as if nobody had been contacted: who was held out stands in for who was contacted.

A contact within the outcome window of a row may have changed its outcome: a model that learns from
it says how likely customers leave *when they are treated as they were*, those at high risk look
safe, and are no longer contacted. Where the arms of a campaign were drawn, the row of each
contacted customer is replaced by that of a customer who was held out of the same campaign and
stratum: features and outcome are those of the one held out, and the rows stay as many. Each arm
probability thus counts (inverse probability weights in whole numbers: Horvitz & Thompson 1952).
Leaving the contacted out alone would not do: who is contacted after `as_of` depends on what came
after it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa

COLUMNS = ("customer_id", "contacted_at", "campaign", "stratum", "is_treated", "order")


@dataclass(frozen=True)
class Replacement:
    """Counts of rows: of contacted customers that others stand in for, of those who stand in, and
    of contacted customers for whom nobody can: they stay as they are.
    """

    replaced: int = 0
    stand_ins: int = 0
    without: int = 0

    def __add__(self, other: Replacement) -> Replacement:
        return Replacement(
            self.replaced + other.replaced,
            self.stand_ins + other.stand_ins,
            self.without + other.without,
        )


@dataclass(frozen=True)
class Contacts:
    """The customers of campaigns whose arms were drawn: a table of COLUMNS, a row each.

    `contacted_at`: µs UTC, of both arms. `order`: a number by which those who stand in take turns,
    drawn with the arms. `horizon_us`: how long after as_of a contact changes the outcome of a row.
    """

    rows: pa.Table
    horizon_us: int

    def replace(self, rows: pa.Table) -> tuple[pa.Table, Replacement]:
        """The rows as if nobody had been contacted, and counts.

        rows: with customer_id and as_of (µs), sorted by as_of and customer_id; the result is, too,
        and names a customer several times.
        """
        at = rows["as_of"].to_numpy()
        places, counts = [], Replacement()
        for start, end in _blocks(at):
            customers = rows["customer_id"].slice(start, end - start).to_pylist()
            part, of_part = self._places(customers, int(at[start]))
            places.append(np.sort(part) + start)
            counts += of_part
        if not counts.replaced:
            return rows, counts
        return rows.take(pa.array(np.concatenate(places))).combine_chunks(), counts

    def _places(self, customers: list[str], at: int) -> tuple[np.ndarray, Replacement]:
        """For each customer of one date the place of the row that counts for it."""
        place_of = {name: place for place, name in enumerate(customers)}
        contacted_at = self.rows["contacted_at"].to_numpy()
        inside = (contacted_at >= at) & (contacted_at < at + self.horizon_us)
        rows = self.rows.filter(pa.array(inside)).sort_by(
            [(name, "ascending") for name in ("contacted_at", "campaign", "order", "customer_id")]
        )
        cells = [row for row in rows.to_pylist() if row["customer_id"] in place_of]
        treated = {row["customer_id"] for row in cells if row["is_treated"]}
        groups: dict[tuple[str, str], tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
        counted: set[str] = set()
        for row in cells:
            name, group = row["customer_id"], groups[row["campaign"], row["stratum"]]
            if row["is_treated"] and name not in counted:
                counted.add(name)  # by the first contact of the window
                group[0].append(place_of[name])
            elif name not in treated:
                group[1].append(place_of[name])
        result, used, without = np.arange(len(customers)), set(), 0
        for ours, theirs in groups.values():
            if not theirs:
                without += len(ours)
                continue
            for turn, place in enumerate(ours):
                result[place] = theirs[turn % len(theirs)]
                used.add(int(result[place]))
        return result, Replacement(len(counted) - without, len(used), without)


def distinct_rows(rows: pa.Table) -> pa.Table:
    """Each customer and as_of once: without the repetitions of who stands in for others.

    rows: sorted by as_of and customer_id.
    """
    if not rows.num_rows:
        return rows
    names, at = rows["customer_id"].to_pylist(), rows["as_of"].to_numpy()
    again = [False, *(one == other for one, other in pairwise(names))]
    return rows.filter(pa.array(~(np.array(again) & (np.diff(at, prepend=at[0] - 1) == 0))))


def _blocks(at: np.ndarray) -> list[tuple[int, int]]:
    """(start, end) of each run of equal values."""
    edges = np.flatnonzero(np.diff(at)) + 1
    return list(zip([0, *edges], [*edges, len(at)], strict=True)) if len(at) else []
