"""Items: scores on one scale, and the mean score of each item with enough answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import narwhals as nw
import pyarrow as pa
import pyarrow.compute as pc

from features.recipes.recipe import SCORE_SCALE
from features.tables.history import Known

FEWEST_ANSWERS, MOST_ITEMS = 5, 5_000
Scales = tuple[tuple[str, float, float], ...]  # (kind of feedback, lowest, highest score)
SUMS = pa.schema({"item": pa.string(), "total": pa.int64(), "count": pa.int64()})
_DIGITS = len(str(SCORE_SCALE))


def score_scaled(scales: Scales) -> nw.Expr:
    """The score on the scale of its kind, 0 … 1, in millionths; null without score or scale."""
    scaled: nw.Expr = nw.lit(None, dtype=nw.Float64)
    for kind, low, high in scales:
        share = (nw.col("score") - low) / (high - low) * SCORE_SCALE
        scaled = nw.when(nw.col("kind") == kind).then(share).otherwise(scaled)
    return scaled.round().cast(nw.Int64)


def item_sums(known: Known, scales: Scales) -> pa.Table:
    """`item`, the `total` of its scores in millionths, and the `count` of its known answers."""
    if "feedback" not in known.tables:
        return SUMS.empty_table()
    answers = known.tables["feedback"].with_columns(score_scaled=score_scaled(scales))
    answers = answers.filter(~nw.col("score_scaled").is_null() & ~nw.col("item").is_null())
    sums = answers.group_by("item").agg(
        total=nw.col("score_scaled").sum().cast(nw.Int64),
        count=nw.col("score_scaled").count().cast(nw.Int64),
    )
    return sums.collect(backend="pyarrow").to_native().cast(SUMS)


def join_item_sums(sums: pa.Table) -> pa.Table:
    """One row per item, where those of several groups of customers stand one below the other."""
    joined = sums.group_by("item").aggregate([("total", "sum"), ("count", "sum")])
    return joined.rename_columns(SUMS.names).cast(SUMS)


def item_means(sums: pa.Table) -> dict[str, Any]:
    """`items` in the order of their names, and `item_means` in millionths, from `item_sums` of all.

    Only items with at least 5 answers; of more than 5,000 of these, those with the most answers (at
    equal numbers the first by name).
    """
    items = sums.filter(pc.greater_equal(sums["count"], FEWEST_ANSWERS)).to_pylist()
    items = sorted(items, key=lambda row: (-row["count"], row["item"]))[:MOST_ITEMS]
    items.sort(key=lambda row: row["item"])
    # The mean rounded to whole millionths (halves upwards) without floats, so it is the same
    # everywhere.
    means = tuple((2 * row["total"] + row["count"]) // (2 * row["count"]) for row in items)
    return {"items": tuple(row["item"] for row in items), "item_means": means}


@dataclass(frozen=True)
class ItemMeansByInstant:
    """The item means of several instants as a frame: item, as_of (µs), item_mean (millionths)."""

    frame: nw.LazyFrame


def with_item_means(rows: nw.LazyFrame, population: Any) -> nw.LazyFrame:
    """The rows with `item_mean` of their item, in millionths; null for an item without a mean.

    population: PopulationStats, or ItemMeansByInstant where each row has its own as_of.
    """
    if isinstance(population, ItemMeansByInstant):
        return rows.join(population.frame, on=["item", "as_of"], how="left")
    if not population.items:
        return rows.with_columns(item_mean=nw.lit(None, dtype=nw.Int64))
    # One list of texts in the statement itself, so that a prepared statement needs no table of its
    # own.
    pairs = [
        f"{mean:0{_DIGITS}d}{item}"
        for item, mean in zip(population.items, population.item_means, strict=True)
    ]
    listed = rows.select(nw.len()).with_columns(pair=nw.lit(pairs)).explode("pair")
    means = listed.select(
        item=nw.col("pair").str.slice(_DIGITS),
        item_mean=nw.col("pair").str.slice(0, _DIGITS).cast(nw.Int64),
    )
    return rows.join(means, on="item", how="left")
