"""Why an estimator cannot be served without pickle."""

from __future__ import annotations


class NotServable(Exception):
    """The estimator is judged, but no release can hold it. The message says why."""
