"""Breadth: how many kinds of things a customer buys, how evenly, whether new ones come in; and when in the week."""

from __future__ import annotations

from features.recipes.recipe import LOG_SCALE, Recipe, Reduction, feature, ratio


@feature(tables=("transactions",), unit="categories", words="bought from {value:.0f} categories")
def breadth() -> Recipe:
    """Distinct categories bought (not additive).

    Formula: distinct category. Window: all time. Null: never (0). Source: catalogue 58.
    """
    categories = Reduction("transactions", "distinct", value="category", kinds=("purchase",))
    return Recipe({"categories": categories}, lambda r, now: r.categories)


@feature(
    tables=("transactions",),
    unit="nats",
    words="an evenness of {value:.2f} over the categories bought",
)
def category_entropy() -> Recipe:
    """Entropy of the purchases by category: 0 where all are of one, ln k where k are bought equally often.

    Formula: Σ share · ln(1 / share) over categories, in millionths. Window: all time.
    Null: no purchase with a category. Source: catalogue 59.
    """
    surprise = Reduction("categories", "sum", value="surprise")
    bought = Reduction("categories", "sum", value="bought")
    return Recipe(
        {"surprise": surprise, "bought": bought},
        lambda r, now: ratio(r.surprise, r.bought) / LOG_SCALE,
    )


@feature(
    tables=("transactions",),
    unit="share",
    words="{value:.0%} of the purchases opened a new category ({window})",
    windows="W",
)
def novelty(days: int | None) -> Recipe:
    """Purchases of a category never bought before, over purchases.

    Formula: categories first bought in the window / purchases. Window: W and all time. Null: no purchase in it.
    Source: catalogue 60.
    """
    opened = Reduction("categories", "count", since_days=days)
    bought = Reduction("transactions", "count", kinds=("purchase",), since_days=days)
    return Recipe({"opened": opened, "bought": bought}, lambda r, now: ratio(r.opened, r.bought))


@feature(
    tables=("activity",), unit="nats", words="an evenness of {value:.2f} over the hours of the week"
)
def hour_entropy() -> Recipe:
    """Entropy of activity days by weekday and hour of their first event, on the business's clock (168 cells).

    Formula: Σ share · ln(1 / share) over cells, in millionths. Window: all time. Null: no activity.
    Source: catalogue 61.
    """
    surprise = Reduction("hours", "sum", value="surprise")
    begun = Reduction("hours", "sum", value="begun")
    return Recipe(
        {"surprise": surprise, "begun": begun},
        lambda r, now: ratio(r.surprise, r.begun) / LOG_SCALE,
    )
