"""Which runs were removed, and why older ones stay."""

from __future__ import annotations

from features.core.language import number, say
from serving.batch.retention import Pruned


def prune_text(pruned: Pruned) -> str:
    """The number of runs that went, and of those that stay though they are old."""
    n, size = number(len(pruned.removed)), number(round(pruned.size / 1_000_000))
    text = (
        say("{n} old runs would be removed ({size} MB)", n=n, size=size)
        if pruned.dry_run
        else say("{n} old runs are removed ({size} MB)", n=n, size=size)
    )
    lines = [text] + [
        say("  {n} older runs stay: {reason}", n=number(count), reason=say(reason))
        for reason, count in pruned.stayed.items()
    ]
    return "\n".join(lines)
