"""Columns that equal one of ours: at as_of, where all is well, or at a later instant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from features.audit.feature_table.closeness import equal_rows, share_of, unit_ranks
from features.audit.feature_table.matching import MatchedRows
from features.audit.feature_table.our_columns import (
    SINCE,
    STATE_TEXTS,
    is_of_state,
    numbers_of,
)
from features.core.instants import DAY_US
from features.core.language import say
from features.core.progress import print_status

EQUAL = 0.999  # share of equal rows from which a column is one of ours
LATER_EQUAL = 0.95
FEW = 20  # rows, and half as many customers, that only the later instant explains
RANKED, CLOSER = 0.9, 0.05  # correlation of ranks with a later instant, and how much closer it is
# From this correlation on, a fourth of the distance to 1 is closer too, in so many rows.
NEARLY, NEARER, MANY = 0.97, 4, 200
CANDIDATES = 6
DAYS_LATER = (1, 7, 30, 90)
WHOLE = "_all"  # the end of the names of columns over the whole history
END = "at the end of the data"


@dataclass(frozen=True)
class Likeness:
    """Which of our columns a column of theirs is like, at as_of or later.

    equal_then, equal_later: shares of rows that equal `ours` at as_of and at `when`, among the rows
    whose later instant lies within the data; rank_then, rank_later: correlations of ranks.
    """

    ours: str
    when: str
    equal_then: float
    equal_later: float
    rank_then: float
    rank_later: float
    rows: int

    @property
    def is_equal(self) -> bool:
        """Whether the values are equal, and not their ranks alone close."""
        return self.equal_later >= LATER_EQUAL


@dataclass(frozen=True)
class Comparison:
    """equals: our column and the share of equal rows, by theirs; later: time travel, by theirs."""

    equals: Mapping[str, tuple[str, float]]
    later: Mapping[str, Likeness]
    instants: Sequence[str]

    @property
    def cleared(self) -> set[str]:
        """Columns that were computed again from what was known, and are the same."""
        return {name for name, (_, share) in self.equals.items() if share >= EQUAL}


@dataclass(frozen=True)
class _OurColumns:
    """Our columns at an instant of each row: values and unit ranks, (columns, rows)."""

    names: list[str]
    values: np.ndarray
    ranks: np.ndarray

    def likest(self, column: np.ndarray) -> list[tuple[float, int]]:
        """(correlation of ranks, place) of the likest columns, the likest first."""
        rho = np.abs(self.ranks @ unit_ranks(column))
        order = np.argsort(-rho, kind="stable")[:CANDIDATES]
        return [(float(rho[place]), int(place)) for place in order if rho[place] > 0]


def compare_with_ours(matched: MatchedRows) -> Comparison:
    """Compare every column of theirs with every column of ours, at as_of and at later instants.

    A column that equals one of ours at as_of in EQUAL of the rows is cleared. Another one travels
    in time where it equals one at a later instant in LATER_EQUAL of the rows and rows tell the two
    instants apart, or where its ranks are closer to a later instant by CLOSER.
    """
    at = matched.table.as_of
    named = numbers_of(matched.rows, at)
    then = _our_columns(named)
    theirs = matched.table.values_at(at)
    equals = {
        name: best
        for name, values in theirs.items()
        if (best := _best_at_as_of(values, then, _namesake(name, named), name))
    }
    equals |= _equal_texts(matched)
    open_ones = [name for name in theirs if equals.get(name, ("", 0.0))[1] < EQUAL]
    open_ones = [name for name in open_ones if not _is_level_of_a_cleared(name, equals)]
    later: dict[str, Likeness] = {}
    instants = _later_instants(matched)
    if open_ones:
        end = matched.ours.history.data_until
        print_status(
            say("audit: {columns} columns beside ours at later instants", columns=len(open_ones))
        )
        matched.ours.build(np.concatenate([one[one <= end] for one in instants.values()]))
        for when, instant in instants.items():
            if (inside := instant <= end).sum() >= FEW:
                _compare_later(matched, then, open_ones, when, instant, inside, later)
    return Comparison(equals, later, list(instants))


def _compare_later(
    matched: MatchedRows,
    then: _OurColumns,
    names: Sequence[str],
    when: str,
    instant: np.ndarray,
    inside: np.ndarray,
    later: dict[str, Likeness],
) -> None:
    """Add the likeness of each column to ours at `when`, where it is the closest so far."""
    ids = matched.table.keys["customer_id"].filter(inside)
    values = matched.ours.values_at(ids, instant[inside])
    ours = _our_columns({**values, **_gains(values, matched, inside)})
    before = _OurColumns(
        then.names,
        then.values[:, inside],
        np.array([unit_ranks(one[inside]) for one in then.values]),
    )
    at_as_of = matched.table.values_at(matched.table.as_of)
    at_instant = matched.table.values_at(instant)
    customers = matched.customers[inside]
    for name in names:
        columns = (at_as_of[name][inside], at_instant[name][inside])
        likeness = _likeness(columns, before, ours, when, customers)
        if likeness and (
            name not in later or _closeness(likeness) > _closeness(later[name]) + 1e-9
        ):
            later[name] = likeness


def _gains(
    values: Mapping[str, np.ndarray], matched: MatchedRows, inside: np.ndarray
) -> dict[str, np.ndarray]:
    """What each column of the whole history gained since as_of: nothing of it was known then."""
    then = numbers_of(matched.rows, matched.table.as_of)
    return {
        f"the gain of {name} since as_of": np.nan_to_num(column) - np.nan_to_num(then[name][inside])
        for name, column in values.items()
        if name.endswith(WHOLE) and name in then
    }


def _closeness(likeness: Likeness) -> float:
    return likeness.equal_later + likeness.rank_later


def _likeness(
    columns: tuple[np.ndarray, np.ndarray],
    then: _OurColumns,
    later: _OurColumns,
    when: str,
    customers: np.ndarray,
) -> Likeness | None:
    """The evidence that a column is of `when` and not of as_of; None where there is none.

    `columns`: it beside as_of, and beside the later instant (they differ where it is an instant).
    """
    candidates = later.likest(columns[1])
    if not candidates or candidates[0][0] < RANKED:
        return None
    best_then = then.likest(columns[0])
    rank_then = best_then[0][0] if best_then else 0.0
    equal_masks = [equal_rows(columns[0], then.values[place]) for _, place in best_then]
    likenesses = []
    for rank_later, place in candidates:
        mine, name = equal_rows(columns[1], later.values[place]), later.names[place]
        same = [then.names.index(name)] if name in then.names else []
        masks = equal_masks + [equal_rows(columns[0], then.values[one]) for one in same]
        nearest = max(masks, key=share_of, default=np.zeros(len(mine)))
        shares = share_of(nearest), share_of(mine)
        is_equal = shares[1] >= LATER_EQUAL and _tells_apart(mine, nearest, customers)
        if is_equal or _is_closer(rank_later, rank_then, len(mine)):
            likenesses.append(Likeness(name, when, *shares, rank_then, rank_later, len(mine)))
    # Where a feature and the state say the same, the feature's name is the better known.
    return max(
        likenesses,
        key=lambda one: (round(one.equal_later, 6), not is_of_state(one.ours), one.rank_later),
        default=None,
    )


def _is_closer(later: float, then: float, rows: int) -> bool:
    """Whether ranks are clearly closer to the later instant, though values need not be equal.

    Sums with other refunds than ours rank like the later instant but for a few customers.
    """
    if later - then >= CLOSER:
        return later >= RANKED
    nearly = later >= NEARLY and rows >= MANY and later - then >= CLOSER / 10
    return nearly and (1 - later) * NEARER <= 1 - then


def _tells_apart(later: np.ndarray, then: np.ndarray, customers: np.ndarray) -> bool:
    """Whether enough rows of enough customers equal the later instant alone, and hardly any the
    other alone.
    """
    only_later, only_then = (later == 1) & (then == 0), (then == 1) & (later == 0)
    rows = int(only_later.sum())
    enough = rows >= FEW and len(np.unique(customers[only_later])) >= FEW // 2
    return bool(enough and rows >= 10 * (int(only_then.sum()) + 1))


def _our_columns(values: Mapping[str, np.ndarray]) -> _OurColumns:
    ranks = {name: unit_ranks(column) for name, column in values.items()}
    names = [name for name in values if ranks[name].any()]
    return _OurColumns(
        names,
        np.array([values[name] for name in names]),
        np.array([ranks[name] for name in names]),
    )


def _best_at_as_of(
    values: np.ndarray, ours: _OurColumns, namesake: np.ndarray | None, name: str
) -> tuple[str, float] | None:
    """Our column that equals theirs in most rows: of the same name, or with like ranks.

    The ranks say nothing where nearly all rows are empty; the name does.
    """
    if namesake is not None and (share := _same_share(values, namesake)) >= EQUAL:
        return name, share
    shares = [
        (share_of(equal_rows(values, ours.values[place])), ours.names[place])
        for rho, place in ours.likest(values)
        if rho >= RANKED
    ]
    if not shares:
        return None
    share, likest = max(shares, key=lambda one: one[0])
    return likest, share


def _namesake(name: str, ours: Mapping[str, np.ndarray]) -> np.ndarray | None:
    return ours.get(name, ours.get(f"{SINCE}{name}"))


def _same_share(theirs: np.ndarray, ours: np.ndarray) -> float:
    """The share of rows with the same value, or empty in both."""
    close = np.isclose(theirs, ours, rtol=1e-6, atol=1e-9, equal_nan=True)
    return float(close.mean())


def _equal_texts(matched: MatchedRows) -> dict[str, tuple[str, float]]:
    """Texts that equal one of our states in EQUAL of the rows."""
    equals = {}
    for name, theirs in matched.table.texts.items():
        for state in STATE_TEXTS:
            ours = np.array(matched.rows[state].to_pylist(), dtype=object)
            share = float(np.mean(theirs == ours))
            if share >= EQUAL:
                equals[name] = (state, share)
    return equals


def _is_level_of_a_cleared(name: str, equals: Mapping[str, tuple[str, float]]) -> bool:
    column, separator, _ = name.partition(" = ")
    return bool(separator) and equals.get(column, ("", 0.0))[1] >= EQUAL


def _later_instants(matched: MatchedRows) -> dict[str, np.ndarray]:
    """What is later than as_of in words, and the instant (µs) of each row, the nearest first."""
    at, settings = matched.table.as_of, matched.ours.settings
    horizon = settings.churn.horizon_days
    steps = {
        f"{days} day{'s' if days > 1 else ''} after as_of"
        + (", the end of the outcome window" if days == horizon else ""): days
        for days in sorted({*DAYS_LATER, horizon})
    }
    instants = {when: at + days * DAY_US for when, days in steps.items()}
    instants[END] = np.full_like(at, matched.ours.history.data_until)
    return instants
