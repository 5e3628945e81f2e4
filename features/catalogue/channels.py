"""Channels: over which doors a customer comes, whether that changes, and whether one matter needs several of them.

An interaction has no topic, so that it is the same matter is not known: closeness in time stands for it.
"""

from __future__ import annotations

import narwhals as nw

from features.recipes.recipe import LOG_SCALE, Recipe, Reduction, feature, ratio

_BEGUN = Reduction("interactions", "count", where="by_customer")


@feature(tables=("interactions",), unit="share", words="{value:.2f} channels a contact")
def channel_spread() -> Recipe:
    """Distinct channels per interaction, shrunk.

    Formula: channels / (interactions + 1). Window: all time. Null: never (0). Source: catalogue 51 (simple form).
    """
    channels = Reduction("interactions", "distinct", value="channel", where="by_customer")
    count = Reduction("interactions", "count", where="by_customer")
    return Recipe(
        {"channels": channels, "count": count}, lambda r, now: ratio(r.channels, r.count + 1)
    )


@feature(
    tables=("interactions",), unit="nats", words="an evenness of {value:.2f} over the channels"
)
def channel_entropy() -> Recipe:
    """Entropy of the interactions the customer began by channel: 0 where all came over one, ln k over k evenly.

    Formula: Σ share · ln(1 / share) over channels, in millionths. Window: all time. Null: none with a channel.
    Source: catalogue 51.
    """
    surprise, used = (
        Reduction("channels", "sum", value="surprise"),
        Reduction("channels", "sum", value="used"),
    )
    return Recipe(
        {"surprise": surprise, "used": used}, lambda r, now: ratio(r.surprise, r.used) / LOG_SCALE
    )


@feature(
    tables=("interactions",),
    unit="share",
    words="{value:.0%} of the contacts moved to other channels ({window})",
    windows="w",
)
def channel_shift(days: int) -> Recipe:
    """How much of the interactions the customer began moved to other channels, the last window against before.

    Formula: ½ Σ |share in W − share before| over channels. Window: W against all before it.
    Null: none with a channel on either side. Source: catalogue 52.
    """
    moved = Reduction("channels", "sum", value=f"moved_{days}")
    near, used = (
        Reduction("channels", "sum", value=f"near_{days}"),
        Reduction("channels", "sum", value="used"),
    )
    return Recipe(
        {"moved": moved, "near": near, "used": used},
        lambda r, now: ratio(r.moved, 2 * r.near * (r.used - r.near)),
    )


@feature(tables=("interactions",), unit="share", words="{value:.0%} of the contacts are visits")
def visit_share() -> Recipe:
    """Share of kind visit among the interactions the customer began.

    Formula: visits / interactions. Window: all time. Null: none. Source: catalogue 53.
    """
    return _share("visit")


@feature(tables=("interactions",), unit="share", words="{value:.0%} of the contacts are use")
def usage_share() -> Recipe:
    """Share of kind usage among the interactions the customer began.

    Formula: usage / interactions. Window: all time. Null: none. Source: catalogue 53.
    """
    return _share("usage")


@feature(tables=("interactions",), unit="share", words="{value:.0%} of the contacts are calls")
def call_share() -> Recipe:
    """Share of kind call among the interactions the customer began.

    Formula: calls / interactions. Window: all time. Null: none. Source: catalogue 53.
    """
    return _share("call")


def _share(kind: str) -> Recipe:
    count = Reduction("interactions", "count", kinds=(kind,))
    return Recipe({"count": count, "begun": _BEGUN}, lambda r, now: ratio(r.count, r.begun))


@feature(
    tables=("interactions",),
    unit="share",
    words="{value:.0%} of the contacts followed one on another channel ({window})",
    windows="W",
)
def channel_hops(days: int | None) -> Recipe:
    """Interactions the customer began within 24 hours after one on another channel, per interaction with a channel.

    Formula: hops / interactions with a channel (of equal instants the channel's name decides which is after which).
    Window: W and all time. Null: none with a channel. Source: the same issue on several channels (no topic is known).
    """
    hops = Reduction("interactions", "count", where="hop", since_days=days)
    placed = Reduction("interactions", "count", where="placed", since_days=days)
    return Recipe({"hops": hops, "placed": placed}, lambda r, now: ratio(r.hops, r.placed))


@feature(
    tables=("interactions", "feedback"),
    unit="channels",
    words="came over {value:.0f} channels after the last complaint",
)
def complaint_channels() -> Recipe:
    """Distinct channels of the interactions the customer began in the 7 days from the last complaint on.

    Formula: distinct channels in [last complaint, + 7 days). Window: since the last complaint. Null: no complaint.
    Source: the same issue on several channels.
    """
    channels = Reduction("interactions", "distinct", value="channel", where="after_complaint")
    complaint = Reduction("feedback", "max", kinds=("complaint",))
    return Recipe(
        {"channels": channels, "complaint": complaint},
        lambda r, now: nw.when(~r.complaint.is_null()).then(r.channels),
    )
