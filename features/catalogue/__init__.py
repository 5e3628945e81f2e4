"""The feature catalogue: one file per family, one function per feature.

Importing this package registers every feature.
"""

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
    treatments,
    trend,
    value,
)

# The order of the feature columns and of docs/features.md; models depend on it.
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
        treatments,
        attributes,
    )
)
