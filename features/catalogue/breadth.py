"""Breadth: how many categories a customer buys, how evenly, and at which hours of the week."""

from __future__ import annotations

from features.recipes.recipe import LOG_SCALE, Recipe, Reduction, feature, ratio


@feature(tables=("transactions",), unit="categories", words="bought from {value:.0f} categories")
def distinct_categories() -> Recipe:
    """Distinct categories bought (not additive).

    Formula: distinct category. Window: all time. Null: never (0). Source: catalogue 58.
    """
    categories = Reduction("transactions", "distinct", value="category", kinds=("purchase",))
    return Recipe({"categories": categories}, lambda r, now: r.categories)


@feature(
    tables=("transactions",),
    unit="nats",
    words="spread of purchases over categories (entropy): {value:.2f}",
)
def category_entropy() -> Recipe:
    """Entropy of the purchases by category.

    0 where all are of one category, ln k for k categories equally often. Formula: Σ share · ln(1 /
    share) over categories, in millionths. Window: all time. Null: no purchase with a category.
    Source: catalogue 59.
    """
    entropy_terms = Reduction("categories", "sum", value="entropy_term")
    bought = Reduction("categories", "sum", value="bought")
    return Recipe(
        {"entropy_terms": entropy_terms, "bought": bought},
        lambda r, now: ratio(r.entropy_terms, r.bought) / LOG_SCALE,
    )


@feature(
    tables=("transactions",),
    unit="share",
    words="{value:.0%} of purchases were the first in their category ({window})",
    windows="W",
)
def new_category_share(days: int | None) -> Recipe:
    """Share of purchases that were the first in their category.

    Formula: categories first bought in the window / purchases. Window: W and all time. Null: no
    purchase in it. Source: catalogue 60.
    """
    opened = Reduction("categories", "count", since_days=days)
    bought = Reduction("transactions", "count", kinds=("purchase",), since_days=days)
    return Recipe({"opened": opened, "bought": bought}, lambda r, now: ratio(r.opened, r.bought))


@feature(
    tables=("activity",),
    unit="nats",
    words="spread of activity over the hours of the week (entropy): {value:.2f}",
)
def hour_entropy() -> Recipe:
    """Entropy of activity days by weekday and hour of their first event, in local time (168 cells).

    Formula: Σ share · ln(1 / share) over cells, in millionths. Window: all time. Null: no activity.
    Source: catalogue 61.
    """
    entropy_terms = Reduction("hours", "sum", value="entropy_term")
    begun = Reduction("hours", "sum", value="begun")
    return Recipe(
        {"entropy_terms": entropy_terms, "begun": begun},
        lambda r, now: ratio(r.entropy_terms, r.begun) / LOG_SCALE,
    )
