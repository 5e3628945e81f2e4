"""Two custom features, for the key `[features] own = "own_features.py"`.

A feature returns a recipe: reductions (which rows, which column, how reduced, which window) and a
formula over their results. It never reads a row, a clock or the future. A feature without windows
becomes the column `<name>`; with windows="W" it becomes `<name>_<days>d` and `<name>_all`.
"""

from lifecycle import Recipe, Reduction, feature, ratio


@feature(
    tables=("transactions", "interactions"),
    unit="visits",
    words="{value:.1f} visits per purchase in {window}",
    windows="W",
)
def visits_per_purchase(days):
    """Visits per purchase: a rise shows that the customer compares and does not buy more.

    Formula: visits / purchases. Window: W. Null: no purchase. Source: ours.
    """
    visits = Reduction("interactions", "count", kinds=("visit",), since_days=days)
    bought = Reduction("transactions", "count", kinds=("purchase",), since_days=days)
    return Recipe({"visits": visits, "bought": bought}, lambda r, now: ratio(r.visits, r.bought))


@feature(tables=("interactions",), unit="days", words="last opened a message {value:.0f} days ago")
def recency_opened():
    """Days since the customer last opened or clicked a message.

    Formula: as_of − last opened or clicked. Window: all time. Null: never. Source: ours.
    """
    last = Reduction("interactions", "max", kinds=("opened", "clicked"))
    return Recipe({"last": last}, lambda r, now: now.age_days(r.last))
