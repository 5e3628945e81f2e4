"""Streaks: the shape of the last windows, one beside the other: slopes, bends, empty and active runs."""
