"""Which rows of a feature table have a row of ours, and those that are looked at, with outcomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.audit.feature_table.our_columns import OurColumns
from features.audit.feature_table.reading import FeatureTable
from features.core.errors import EmptyTable
from features.core.instants import midnight_after
from features.core.settings import Settings
from features.engine.pairs import build_pairs
from features.labels.outcomes import is_mature, observe_outcomes
from features.recipes.definitions import Definitions, learn_definitions
from features.recipes.population_stats import population_stats
from features.tables.history import History

CANCELLED = "cancelled_ending"


@dataclass(frozen=True)
class MatchedRows:
    """The rows that are looked at, by as_of and customer.

    table: theirs; rows: ours, in the same order. churned, at_risk: bool (rows,); at_risk: eligible,
    not agreed to leave, and with a known outcome. outcome: churned, outcome_stage,
    window_activities. counts: what became of every row of the file.
    """

    table: FeatureTable
    rows: pa.Table
    outcome: pa.Table
    churned: np.ndarray
    at_risk: np.ndarray
    counts: Mapping[str, int]
    ours: OurColumns

    @property
    def customers(self) -> np.ndarray:
        """The number of each row's customer, (rows,)."""
        return np.asarray(pc.rank(self.table.keys["customer_id"], tiebreaker="dense").to_numpy())


def match_rows(
    table: FeatureTable,
    history: History,
    settings: Settings,
    *,
    dates: int,
    customers: int,
    rng: np.random.Generator,
) -> MatchedRows:
    """Count every row of the file and take `customers` at `dates` instants, with their outcomes.

    Instants whose outcome is known come first. EmptyTable where no row has a row of ours.
    """
    counts: dict[str, int] = {"read": table.keys.num_rows}
    end = midnight_after(history.data_until, settings.zone)
    in_time = table.as_of <= end
    counts["after_the_data"] = int((~in_time).sum())
    first = _first_of_each(table.keys)
    counts["repeated"] = int((in_time & ~first).sum())
    places = np.flatnonzero(in_time & first)
    if not places.size:
        raise _nothing_matches()
    definitions = learn_definitions(history.as_of(int(table.as_of[places].min())), settings)
    has_row, unknown = _has_row(history, definitions, table.keys.take(pa.array(places)))
    counts["unknown_customer"], counts["matched"] = unknown, int(has_row.sum())
    counts["without_activity"] = int((~has_row).sum()) - unknown
    if not has_row.any():
        raise _nothing_matches()
    places = _drawn(table, places[has_row], history, settings, dates, customers, rng)
    chosen = table.take(places)
    counts["looked_at"] = chosen.keys.num_rows
    counts["instants_looked_at"] = len(np.unique(chosen.as_of))
    ours = OurColumns(history, settings, definitions, chosen.keys["customer_id"])
    rows = ours.rows_at(chosen.keys["customer_id"], chosen.as_of)
    outcome = _outcomes(ours, chosen.keys)
    churned = np.asarray(pc.fill_null(outcome["churned"], False).to_numpy(), dtype=bool)
    known = ~np.asarray(outcome["churned"].is_null().to_numpy(), dtype=bool)
    at_risk = known & np.asarray(pc.fill_null(rows["eligible"], False).to_numpy(), dtype=bool)
    if CANCELLED in rows.column_names:
        agreed = rows[CANCELLED].cast(pa.float64()).to_numpy()
        at_risk &= ~(np.nan_to_num(agreed) > 0)
    return MatchedRows(chosen, rows, outcome, churned, at_risk, counts, ours)


def _first_of_each(keys: pa.Table) -> np.ndarray:
    """Whether a row is the first of its customer and instant, bool (rows,)."""
    numbered = keys.append_column("_row", pa.array(np.arange(keys.num_rows)))
    firsts = numbered.group_by(["customer_id", "as_of"]).aggregate([("_row", "min")])
    first = np.zeros(keys.num_rows, dtype=bool)
    first[firsts["_row_min"].to_numpy()] = True
    return first


def _has_row(history: History, definitions: Definitions, keys: pa.Table) -> tuple[np.ndarray, int]:
    """(whether a pair has a row of ours, bool (pairs,); pairs of customers in no table)."""
    earliest = int(keys["as_of"].to_numpy().min())
    built = build_pairs(
        history,
        keys,
        definitions=definitions,
        populations=[population_stats(history.as_of(earliest), definitions)],
        columns=(),
    )
    numbered = keys.append_column("_row", pa.array(np.arange(keys.num_rows)))
    joined = numbered.join(
        built.rows.select(["customer_id", "as_of"]), ["customer_id", "as_of"], join_type="inner"
    )
    has_row = np.zeros(keys.num_rows, dtype=bool)
    has_row[joined["_row"].to_numpy()] = True
    return has_row, built.unknown


def _drawn(
    table: FeatureTable,
    places: np.ndarray,
    history: History,
    settings: Settings,
    dates: int,
    customers: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """The places of the rows that are looked at, by as_of and customer."""
    at = table.as_of[places]
    instants, rows = np.unique(at, return_counts=True)
    mature = np.array([is_mature(int(one), history=history, settings=settings) for one in instants])
    if mature.any():
        instants, rows = instants[mature], rows[mature]
    if len(instants) > dates:
        # Those with more rows than half of them, so that each has enough; of these, all along.
        instants = instants[rows >= np.median(rows)]
        instants = instants[np.unique(np.linspace(0, len(instants) - 1, dates).round().astype(int))]
    places = places[np.isin(at, instants)]
    ids = table.keys["customer_id"].take(pa.array(places))
    distinct = pc.unique(ids.combine_chunks()).sort()
    if len(distinct) > customers:
        drawn = distinct.take(pa.array(np.sort(rng.choice(len(distinct), customers, False))))
        mask = pc.is_in(ids, value_set=drawn).to_numpy()
        places, ids = places[mask], ids.filter(pa.array(mask))
    keys = pa.table({"as_of": pa.array(table.as_of[places]), "customer_id": ids})
    order = pc.sort_indices(keys, [("as_of", "ascending"), ("customer_id", "ascending")])
    return places[order.to_numpy()]


def _outcomes(ours: OurColumns, keys: pa.Table) -> pa.Table:
    """churned, outcome_stage, window_activities of each pair; null where it is not known yet."""
    history, settings = ours.history, ours.settings
    parts: list[Any] = []
    for at in np.unique(keys["as_of"].to_numpy()):
        if not is_mature(int(at), history=history, settings=settings):
            continue
        known = history.as_of(int(at))
        seen = observe_outcomes(
            history, known, definitions=ours.definitions, settings=settings
        ).rows
        parts.append(seen.append_column("as_of", pa.array(np.full(seen.num_rows, at), pa.int64())))
    names = ["churned", "outcome_stage", "window_activities"]
    if not parts:
        kinds = (pa.bool_(), pa.string(), pa.int64())
        return pa.table(
            {n: pa.nulls(keys.num_rows, kind) for n, kind in zip(names, kinds, strict=True)}
        )
    numbered = keys.append_column("_row", pa.array(np.arange(keys.num_rows)))
    joined = numbered.join(pa.concat_tables(parts), ["customer_id", "as_of"])
    return joined.sort_by("_row").select(names)


def _nothing_matches() -> EmptyTable:
    return EmptyTable(
        where="--features",
        got="no row whose customer has activity before its as_of",
        rule="A feature table is judged on the customers and instants of this business.",
        fix="Compare customer_id and as_of with: lifecycle features --as-of 2024-06-01 --out x.csv",
    )
