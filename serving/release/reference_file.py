"""What a release remembers of its training dates, for `lifecycle monitor`: reference.json.

Counts of eligible customers by bin, over all dates of the refit, and how far one date lay from the
others. No single customer is in it. Scoring reads none of it; a release from before this file has
none, and only `lifecycle monitor` misses it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from serving.release.file_rules import (
    Count,
    Instant,
    Numbers,
    Rules,
    broken_file,
    check_rising,
    check_rules,
    check_unique,
)
from serving.release.json_files import read_json, write_json

FILE = "reference.json"
KINDS = ("features", "scores", "stages", "newcomers")
MOST_SERIES, MOST_BINS, MOST_STRATA = 5000, 12, 8


@dataclass(frozen=True)
class ReferenceKind:
    """The training dates of one kind of figure, as counts in bins.

    `names` (series,): what is counted. `edges`: by series the upper bounds of its bins, () where
    the bins are categories. `counts` (strata, series, bins): eligible customers, all dates
    together; the last bin of features and scores is null. `calm` (series,): how far one date lies
    from the others, as a multiple of chance; `trend` (series,): the squared distance that one day
    adds, by the square of days. Both are 0 where too few dates tell.
    """

    names: tuple[str, ...]
    edges: tuple[tuple[float, ...], ...]
    counts: np.ndarray
    calm: np.ndarray
    trend: np.ndarray


@dataclass(frozen=True)
class ReferenceOutcomes:
    """Of one training date, eligible customers: how many, how many left, and by out-of-fold p.

    `expected` is the sum of p, `variance` the sum of p · (1 − p).
    """

    customers: int
    left: int
    expected: float
    variance: float


@dataclass(frozen=True)
class Reference:
    """The training dates (µs UTC, rising), the bounds of the strata of tenure (days), the kinds."""

    dates: tuple[int, ...]
    tenure: tuple[float, ...]
    kinds: Mapping[str, ReferenceKind]
    outcomes: tuple[ReferenceOutcomes, ...]


def null_shares(reference: Reference | None) -> dict[str, float]:
    """By feature the share of eligible customers of all dates without a value; {} without one."""
    if reference is None:
        return {}
    features = reference.kinds["features"]
    counts = features.counts.sum(axis=0)
    shares = counts[:, -1] / np.maximum(counts.sum(axis=1), 1)
    return dict(zip(features.names, shares.tolist(), strict=True))


Name = Annotated[str, Field(min_length=1, max_length=200)]
NotNegative = Annotated[float, Field(ge=0)]


class KindRules(Rules):
    names: Annotated[list[Name], Field(max_length=MOST_SERIES)]
    edges: list[Annotated[Numbers, Field(max_length=MOST_BINS)]]
    counts: list[list[list[Count]]]
    calm: list[NotNegative]
    trend: list[NotNegative]

    @model_validator(mode="after")
    def _check_shapes(self) -> KindRules:
        check_unique(self.names)
        if {len(self.edges), len(self.calm), len(self.trend)} != {len(self.names)}:
            raise ValueError("another number of values than names")
        for each in self.edges:
            check_rising(each)
        return self

    def check_counts(self, strata: int) -> None:
        """ValueError unless there is a row of equally many bins for each stratum and series."""
        bins = {len(row) for stratum in self.counts for row in stratum}
        per_stratum = {len(stratum) for stratum in self.counts}
        if len(self.counts) != strata or per_stratum != {len(self.names)}:
            raise ValueError("another number of counts than strata and names")
        if len(bins) > 1 or any(not 2 <= each <= MOST_BINS for each in bins):
            raise ValueError("another number of bins")
        if any(len(each) + 2 > max(bins, default=2) for each in self.edges if each):
            raise ValueError("more edges than bins")


class OutcomesRules(Rules):
    customers: Count
    left: Count
    expected: NotNegative
    variance: NotNegative

    @model_validator(mode="after")
    def _check_parts(self) -> OutcomesRules:
        if self.left > self.customers or self.expected > self.customers:
            raise ValueError("more who left than customers")
        return self


class ReferenceFile(Rules):
    """reference.json."""

    dates: Annotated[list[Instant], Field(max_length=1000)]
    tenure: Annotated[list[NotNegative], Field(max_length=MOST_STRATA - 1)]
    kinds: dict[Literal["features", "scores", "stages", "newcomers"], KindRules]
    outcomes: list[OutcomesRules]

    @model_validator(mode="after")
    def _check_parts(self) -> ReferenceFile:
        check_rising(self.dates, by=1)
        check_rising(self.tenure)
        if set(self.kinds) != set(KINDS):
            raise ValueError("another set of kinds")
        for kind in self.kinds.values():
            kind.check_counts(len(self.tenure) + 1)
        return self


def write_reference(reference: Reference | None, folder: Path) -> None:
    """Write reference.json; nothing for None."""
    if reference is not None:
        write_json(folder / FILE, _to_mapping(reference))


def _to_mapping(reference: Reference) -> dict[str, Any]:
    return {
        "dates": list(reference.dates),
        "tenure": list(reference.tenure),
        "kinds": {
            name: {
                "names": list(kind.names),
                "edges": [list(each) for each in kind.edges],
                "counts": kind.counts.tolist(),
                "calm": kind.calm.tolist(),
                "trend": kind.trend.tolist(),
            }
            for name, kind in reference.kinds.items()
        },
        "outcomes": [vars(each).copy() for each in reference.outcomes],
    }


def read_reference(folder: Path, name: str, columns: tuple[str, ...]) -> Reference | None:
    """The inverse of `write_reference` for the release `name`; None where it has no such file.

    `columns`: that the release builds. ReleaseRefused where the file breaks its rules.
    """
    if not (folder / FILE).is_file():
        return None
    content = read_json(folder / FILE, name)
    check_rules(ReferenceFile, content, file=FILE, name=name)
    kinds = {each: _read_kind(content["kinds"][each]) for each in KINDS}
    if not set(kinds["features"].names) <= set(columns):
        raise broken_file(name, f"{FILE}: a column that the release does not build")
    outcomes = tuple(ReferenceOutcomes(**each) for each in content["outcomes"])
    return Reference(tuple(content["dates"]), tuple(content["tenure"]), kinds, outcomes)


def _read_kind(content: Mapping[str, Any]) -> ReferenceKind:
    return ReferenceKind(
        tuple(content["names"]),
        tuple(tuple(each) for each in content["edges"]),
        np.asarray(content["counts"], np.int64),
        np.asarray(content["calm"], float),
        np.asarray(content["trend"], float),
    )
