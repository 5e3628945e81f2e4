"""Channels: which channels a customer uses, whether that changes, and switches between them.

An interaction has no topic. Two interactions that are close in time count as the same matter.
"""

from __future__ import annotations

import narwhals as nw

from features.recipes.recipe import LOG_SCALE, Recipe, Reduction, feature, ratio

_BEGUN = Reduction("interactions", "count", where="by_customer")


@feature(tables=("interactions",), unit="share", words="{value:.2f} channels per contact")
def channels_per_interaction() -> Recipe:
    """Distinct channels per interaction, shrunk towards 0.

    Formula: channels / (interactions + 1). Window: all time. Null: never (0). Source: catalogue 51
    (simple form).
    """
    channels = Reduction("interactions", "distinct", value="channel", where="by_customer")
    count = Reduction("interactions", "count", where="by_customer")
    return Recipe(
        {"channels": channels, "count": count}, lambda r, now: ratio(r.channels, r.count + 1)
    )


@feature(
    tables=("interactions",),
    unit="nats",
    words="spread of contacts over channels (entropy): {value:.2f}",
)
def channel_entropy() -> Recipe:
    """Entropy of the interactions that the customer began, by channel.

    0 where all use one channel, ln k for k channels equally often. Formula: Σ share · ln(1 / share)
    over channels, in millionths. Window: all time. Null: none with a channel. Source: catalogue 51.
    """
    entropy_terms, used = (
        Reduction("channels", "sum", value="entropy_term"),
        Reduction("channels", "sum", value="used"),
    )
    return Recipe(
        {"entropy_terms": entropy_terms, "used": used},
        lambda r, now: ratio(r.entropy_terms, r.used) / LOG_SCALE,
    )


@feature(
    tables=("interactions",),
    unit="share",
    words="{value:.0%} of contacts moved to other channels in {window}",
    windows="w",
)
def channel_shift(days: int) -> Recipe:
    """Change of the channel mix: the last window against all before it.

    Of the interactions that the customer began. Formula: ½ Σ |share in W − share before| over
    channels. Window: W against all before it. Null: none with a channel on either side.
    Source: catalogue 52.
    """
    # `moved` is the difference of the shares times both totals: a whole number, which sums exactly.
    moved = Reduction("channels", "sum", value=f"moved_{days}")
    near, used = (
        Reduction("channels", "sum", value=f"near_{days}"),
        Reduction("channels", "sum", value="used"),
    )
    return Recipe(
        {"moved": moved, "near": near, "used": used},
        lambda r, now: ratio(r.moved, 2 * r.near * (r.used - r.near)),
    )


@feature(tables=("interactions",), unit="share", words="{value:.0%} of contacts are visits")
def visit_share() -> Recipe:
    """Share of kind visit among the interactions that the customer began.

    Formula: visits / interactions. Window: all time. Null: none. Source: catalogue 53.
    """
    return _kind_share("visit")


@feature(tables=("interactions",), unit="share", words="{value:.0%} of contacts are use")
def usage_share() -> Recipe:
    """Share of kind usage among the interactions that the customer began.

    Formula: usage / interactions. Window: all time. Null: none. Source: catalogue 53.
    """
    return _kind_share("usage")


@feature(tables=("interactions",), unit="share", words="{value:.0%} of contacts are calls")
def call_share() -> Recipe:
    """Share of kind call among the interactions that the customer began.

    Formula: calls / interactions. Window: all time. Null: none. Source: catalogue 53.
    """
    return _kind_share("call")


def _kind_share(kind: str) -> Recipe:
    count = Reduction("interactions", "count", kinds=(kind,))
    return Recipe({"count": count, "begun": _BEGUN}, lambda r, now: ratio(r.count, r.begun))


@feature(
    tables=("interactions",),
    unit="share",
    words="{value:.0%} of contacts came within a day of one on another channel ({window})",
    windows="W",
)
def channel_switch_share(days: int | None) -> Recipe:
    """Share of interactions that came within 24 hours after one on another channel.

    Formula: such interactions / interactions with a channel, both begun by the customer (at equal
    instants the channel's name decides the order). Window: W and all time. Null: none with a
    channel. Source: the same issue on several channels (no topic is known).
    """
    hops = Reduction("interactions", "count", where="hop", since_days=days)
    placed = Reduction("interactions", "count", where="placed", since_days=days)
    return Recipe({"hops": hops, "placed": placed}, lambda r, now: ratio(r.hops, r.placed))


@feature(
    tables=("interactions", "feedback"),
    unit="channels",
    words="used {value:.0f} channels in the week after the last complaint",
)
def complaint_channels() -> Recipe:
    """Distinct channels of interactions in the 7 days from the last complaint.

    Formula: distinct channels of interactions that the customer began in [last complaint, + 7
    days). Window: since the last complaint. Null: no complaint. Source: the same issue on several
    channels.
    """
    channels = Reduction("interactions", "distinct", value="channel", where="after_complaint")
    complaint = Reduction("feedback", "max", kinds=("complaint",))
    return Recipe(
        {"channels": channels, "complaint": complaint},
        lambda r, now: nw.when(~r.complaint.is_null()).then(r.channels),
    )
