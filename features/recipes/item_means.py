"""How everybody scores an item: the scale all scores share, and the mean of each item that has enough answers."""

from __future__ import annotations

from typing import Any

import narwhals as nw

from features.recipes.recipe import SCORE_SCALE
from features.tables.history import Known

FEWEST_ANSWERS, MOST_ITEMS = 5, 5_000
_DIGITS = len(str(SCORE_SCALE))


def score_scaled(scales: tuple[tuple[str, float, float], ...]) -> nw.Expr:
    """Scores 0…1 on the scale declared for their kind, in millionths; null without a score or a scale."""
    scaled = nw.lit(None, dtype=nw.Float64)
    for kind, low, high in scales:
        share = (nw.col("score") - low) / (high - low) * SCORE_SCALE
        scaled = nw.when(nw.col("kind") == kind).then(share).otherwise(scaled)
    return scaled.round().cast(nw.Int64)


def measure(known: Known, definitions: Any) -> dict[str, tuple]:
    """`items` in order of their names, and `item_means` in millionths of the scale, from everybody's known answers.

    Items with at least 5 answers; of more than 5,000 such the most answered (of equals the first by name).
    """
    if "feedback" not in known.tables:
        return {"items": (), "item_means": ()}
    answers = known.tables["feedback"].with_columns(score_scaled=score_scaled(definitions.scales))
    answers = answers.filter(~nw.col("score_scaled").is_null() & ~nw.col("item").is_null())
    sums = answers.group_by("item").agg(
        total=nw.col("score_scaled").sum().cast(nw.Int64),
        count=nw.col("score_scaled").count().cast(nw.Int64),
    )
    found = (
        sums.filter(nw.col("count") >= FEWEST_ANSWERS)
        .collect(backend="pyarrow")
        .to_native()
        .to_pylist()
    )
    kept = sorted(found, key=lambda row: (-row["count"], row["item"]))[:MOST_ITEMS]
    kept.sort(key=lambda row: row["item"])
    # Whole millionths, halves upwards: the mean of integers, rounded without a float.
    means = tuple((2 * row["total"] + row["count"]) // (2 * row["count"]) for row in kept)
    return {"items": tuple(row["item"] for row in kept), "item_means": means}


def with_item_means(rows: nw.LazyFrame, base: Any) -> nw.LazyFrame:
    """The rows with `item_mean` of their item in millionths; null where the base does not know the item."""
    if not base.items:
        return rows.with_columns(item_mean=nw.lit(None, dtype=nw.Int64))
    # The means are written into the plan as one list, so that a kept plan has them without a table of its own.
    pairs = [
        f"{mean:0{_DIGITS}d}{item}" for item, mean in zip(base.items, base.item_means, strict=True)
    ]
    listed = rows.select(nw.len()).with_columns(pair=nw.lit(pairs)).explode("pair")
    means = listed.select(
        item=nw.col("pair").str.slice(_DIGITS),
        item_mean=nw.col("pair").str.slice(0, _DIGITS).cast(nw.Int64),
    )
    return rows.join(means, on="item", how="left")
