"""`[retention]`: how long the runs of `lifecycle score` stay."""

from __future__ import annotations

from pydantic import Field

from features.core.config_schema import Section


class Retention(Section):
    runs_days: int | None = Field(default=None, ge=1, le=36_500)
    """After `lifecycle score`, and by `lifecycle prune`, published runs go that are more than so
    many days older than the newest one. [Operations](operations.md#old-runs) says which stay all
    the same. If not set: all stay.
    """
