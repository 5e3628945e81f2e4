"""Complaints: open, repeated, resolved, recovered, and within what was promised."""
