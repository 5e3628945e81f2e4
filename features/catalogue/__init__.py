"""The feature catalogue: one file a family, one function a feature. Importing it registers them all."""

from __future__ import annotations

from features.catalogue import (
    attributes,
    breadth,
    channels,
    complaints,
    cover,
    engagement,
    frequency,
    monetary,
    past,
    recency,
    rhythm,
    satisfaction,
    sessions,
    streaks,
    trend,
    value,
)

# The order of columns, of docs/features.md and of reasons that tie.
FAMILIES = tuple(
    family.__name__.rsplit(".", 1)[-1]
    for family in (
        recency,
        rhythm,
        frequency,
        monetary,
        trend,
        streaks,
        engagement,
        sessions,
        channels,
        breadth,
        satisfaction,
        complaints,
        cover,
        value,
        past,
        attributes,
    )
)
