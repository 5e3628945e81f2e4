"""Engagement: what customers do besides buying. Kind `sent` is the business's own message."""

from __future__ import annotations

from features.recipes.recipe import DECAY_SCALE, Recipe, Reduction, feature

LEAVING = ("cancel_page", "downgrade_page")
ANSWERS = ("opened", "clicked")


@feature(
    tables=("interactions",),
    unit="interactions",
    words="{value:.0f} contacts in {window}",
    windows="W",
)
def interactions(days: int | None) -> Recipe:
    """Interactions that the customer began (every kind but `sent`).

    Formula: count. Window: W and all time. Null: never (0). Source: catalogue 47.
    """
    count = Reduction("interactions", "count", where="by_customer", since_days=days)
    return Recipe({"count": count}, lambda r, now: r.count)


@feature(
    tables=("interactions",),
    unit="days",
    words="engaged on {value:.0f} days in {window}",
    windows="W",
)
def engaged_days(days: int | None) -> Recipe:
    """Distinct local days with an interaction that the customer began (not additive).

    Formula: distinct local days. Window: W and all time. Null: never (0). Source: catalogue 13, 47.
    """
    count = Reduction(
        "interactions", "distinct", value="local_day", where="by_customer", since_days=days
    )
    return Recipe({"count": count}, lambda r, now: r.count)


@feature(
    tables=("interactions",),
    unit="minutes or pages",
    words="{value:,.0f} minutes (or pages) of use in {window}",
    windows="W",
)
def interaction_quantity(days: int | None) -> Recipe:
    """Total quantity of the interactions that the customer began: minutes of use, or pages.

    Formula: Σ quantity, in thousandths. Window: W and all time. Null: never (0).
    Source: catalogue 48–49.
    """
    total = Reduction(
        "interactions", "sum", value="quantity_milli", where="by_customer", since_days=days
    )
    return Recipe({"total": total}, lambda r, now: r.total / 1000)


@feature(
    tables=("interactions",),
    unit="share",
    words="{value:.0%} of the month's engaged days were in the last week",
)
def stickiness() -> Recipe:
    """Engaged days of the last 7 over those of the last 30, shrunk towards an evenly spread month.

    Formula: (d_7 + 7/30) / (d_30 + 1). Window: 7 and 30 days. Null: never. Source: catalogue 50.
    """

    # The prior is one engaged day in 30, spread evenly.
    def engaged(days: int) -> Reduction:
        return Reduction(
            "interactions", "distinct", value="local_day", where="by_customer", since_days=days
        )

    return Recipe(
        {"week": engaged(7), "month": engaged(30)}, lambda r, now: (r.week + 7 / 30) / (r.month + 1)
    )


@feature(
    tables=("interactions",),
    unit="ratio",
    words="contacts at {value:.1f} times the earlier rate ({window})",
    windows="w",
)
def engagement_trend_ratio(days: int) -> Recipe:
    """Interaction rate of the last window over that of four times the window, shrunk towards 1.

    Formula: (c_W + ½) / (c_4W / 4 + ½). Window: W. Null: never. Source: catalogue 39 on
    interactions.
    """

    def met(since: int) -> Reduction:
        return Reduction("interactions", "count", where="by_customer", since_days=since)

    return Recipe(
        {"near": met(days), "far": met(4 * days)}, lambda r, now: (r.near + 0.5) / (r.far / 4 + 0.5)
    )


@feature(
    tables=("interactions",),
    unit="interactions, weighted",
    words="{value:.1f} contacts, recent ones weighted more",
    windows="H",
)
def interactions_ewm(days: float) -> Recipe:
    """Exponentially weighted number of interactions that the customer began.

    Formula: Σ 0.5^(age / h). Window: all time, h = 1, 3, 6 population mean gaps. Null: never (0).
    Source: catalogue 15.
    """
    weighted = Reduction("interactions", "decay", where="by_customer", half_life_days=days)
    return Recipe({"weighted": weighted}, lambda r, now: r.weighted / DECAY_SCALE)


@feature(
    tables=("interactions",),
    unit="share",
    words="opened or clicked {value:.0%} of messages in {window}",
    windows="W",
)
def response_rate(days: int | None) -> Recipe:
    """Messages opened or clicked over messages sent, shrunk towards one in five.

    Formula: (opened or clicked + 1) / (sent + 5). Window: W and all time. Null: never.
    Source: catalogue 54.
    """
    # The prior is one answer to five messages.
    answers = Reduction("interactions", "count", kinds=ANSWERS, since_days=days)
    sent = Reduction("interactions", "count", kinds=("sent",), since_days=days)
    return Recipe({"answers": answers, "sent": sent}, lambda r, now: (r.answers + 1) / (r.sent + 5))


@feature(
    tables=("interactions", "activity"),
    unit="interactions",
    words="{value:.0f} contacts since the last activity",
)
def interactions_since_activity() -> Recipe:
    """Interactions that the customer began since the last activity.

    Formula: count after the last activity's first event. Window: since then. Null: never (0).
    Source: catalogue 56.
    """
    count = Reduction("interactions", "count", where="after_activity")
    return Recipe({"count": count}, lambda r, now: r.count)


@feature(
    tables=("interactions",),
    unit="visits",
    words="{value:.0f} visits to cancel or downgrade pages in {window}",
    windows="W",
)
def cancel_page_visits(days: int | None) -> Recipe:
    """Visits to cancel or downgrade pages (never the cancellation itself).

    Formula: count of kinds cancel_page, downgrade_page. Window: W and all time. Null: never (0).
    Source: catalogue 57.
    """
    count = Reduction("interactions", "count", kinds=LEAVING, since_days=days)
    return Recipe({"count": count}, lambda r, now: r.count)


@feature(tables=("interactions",), unit="calls", words="{value:.0f} calls in {window}", windows="W")
def calls(days: int | None) -> Recipe:
    """Calls to the business.

    Formula: count of kind call. Window: W and all time. Null: never (0). Source: catalogue 53.
    """
    count = Reduction("interactions", "count", kinds=("call",), since_days=days)
    return Recipe({"count": count}, lambda r, now: r.count)


@feature(
    tables=("interactions",),
    unit="share, weighted",
    words="opened or clicked {value:.0%} of messages, recent ones weighted more",
    windows="H",
)
def response_rate_ewm(days: float) -> Recipe:
    """Exponentially weighted share of messages opened or clicked, shrunk towards one in five.

    Formula: (Σ opened or clicked · 0.5^(age / h) + 1) / (Σ sent · 0.5^(age / h) + 5). Window: all
    time, h = 1, 3, 6 population mean gaps. Null: never. Source: catalogue 54, 15.
    """
    answers = Reduction("interactions", "decay", kinds=ANSWERS, half_life_days=days)
    sent = Reduction("interactions", "decay", kinds=("sent",), half_life_days=days)
    return Recipe(
        {"answers": answers, "sent": sent},
        lambda r, now: (r.answers / DECAY_SCALE + 1) / (r.sent / DECAY_SCALE + 5),
    )


@feature(
    tables=("interactions", "transactions"),
    unit="purchases a day",
    words="{value:.2f} purchases per engaged day in {window}",
    windows="W",
)
def conversion(days: int | None) -> Recipe:
    """Purchases per engaged day, shrunk towards one in five.

    Formula: (purchases + 1) / (engaged days + 5). Window: W and all time. Null: never.
    Source: catalogue 55.
    """
    bought = Reduction("transactions", "count", kinds=("purchase",), since_days=days)
    engaged = Reduction(
        "interactions", "distinct", value="local_day", where="by_customer", since_days=days
    )
    return Recipe(
        {"bought": bought, "engaged": engaged}, lambda r, now: (r.bought + 1) / (r.engaged + 5)
    )


@feature(tables=("interactions",), unit="days", words="last call {value:.0f} days ago")
def recency_call() -> Recipe:
    """Days since the last call.

    Formula: as_of − last of kind call. Window: all time. Null: none. Source: catalogue 3.
    """
    return Recipe(
        {"last": Reduction("interactions", "max", kinds=("call",))},
        lambda r, now: now.age_days(r.last),
    )


@feature(
    tables=("interactions",),
    unit="days",
    words="last visit to a cancel or downgrade page {value:.0f} days ago",
)
def recency_cancel_page() -> Recipe:
    """Days since the last visit to a cancel or downgrade page.

    Formula: as_of − last of kinds cancel_page, downgrade_page. Window: all time. Null: none.
    Source: catalogue 3, 57.
    """
    return Recipe(
        {"last": Reduction("interactions", "max", kinds=LEAVING)},
        lambda r, now: now.age_days(r.last),
    )


@feature(
    tables=("interactions",),
    unit="days",
    words="last opened or clicked a message {value:.0f} days ago",
)
def recency_response() -> Recipe:
    """Days since a message was last opened or clicked.

    Formula: as_of − last of kinds opened, clicked. Window: all time. Null: none.
    Source: catalogue 3, 54.
    """
    return Recipe(
        {"last": Reduction("interactions", "max", kinds=ANSWERS)},
        lambda r, now: now.age_days(r.last),
    )
