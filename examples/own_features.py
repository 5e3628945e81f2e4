"""Two features of one's own, as `[features] own = "own_features.py"` takes them: recipes over the contract's tables.

A feature returns a recipe: reductions (which rows, which column, how, which window) and a formula over their results.
It never sees a row, a clock or the future. Columns are `<name>`, or `<name>_<days>d` and `<name>_all` with windows="W".
"""

from features.recipes.recipe import Recipe, Reduction, feature, ratio


@feature(
    tables=("transactions", "interactions"),
    unit="visits",
    words="{value:.1f} visits a purchase in {window}",
    windows="W",
)
def visits_per_purchase(days):
    """Visits a purchase: who looks more often than before and buys as often is looking around.

    Formula: visits / purchases. Window: W. Null: nothing bought. Source: ours.
    """
    visits = Reduction("interactions", "count", kinds=("visit",), since_days=days)
    bought = Reduction("transactions", "count", kinds=("purchase",), since_days=days)
    return Recipe({"visits": visits, "bought": bought}, lambda r, now: ratio(r.visits, r.bought))


@feature(tables=("interactions",), unit="days", words="last opened a message {value:.0f} days ago")
def recency_opened():
    """Days since the customer last opened or clicked a message.

    Formula: t − last opened or clicked. Window: all time. Null: never opened one. Source: ours.
    """
    last = Reduction("interactions", "max", kinds=("opened", "clicked"))
    return Recipe({"last": last}, lambda r, now: now.age_days(r.last))
