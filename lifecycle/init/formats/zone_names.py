"""Names of zones in exports: letters with a fixed offset, and places with their clock changes.

Letters that stand for several zones (CST of China, IST of Ireland) mean the one that the vendors
of the known formats use them for; letters that are not here leave a time without an offset.
"""

from __future__ import annotations

from lifecycle.init.dates import SEASONS

# The letters of each zone in winter and in summer.
ZONES: tuple[dict[str, str], ...] = (
    *SEASONS,
    {"UTC": "+00:00"},
    {"GMT": "+00:00", "BST": "+01:00"},
    {"CST": "-06:00", "CDT": "-05:00"},
)
OFFSETS = {name: offset for zone in ZONES for name, offset in zone.items()}
PLACES = {
    "Eastern Time (US & Canada)": "America/New_York",
    "Central Time (US & Canada)": "America/Chicago",
    "Mountain Time (US & Canada)": "America/Denver",
    "Pacific Time (US & Canada)": "America/Los_Angeles",
    "Atlantic Time (Canada)": "America/Halifax",
    "Arizona": "America/Phoenix",
    "Alaska": "America/Juneau",
    "Hawaii": "Pacific/Honolulu",
    "London": "Europe/London",
    "Dublin": "Europe/Dublin",
    "Paris": "Europe/Paris",
    "Madrid": "Europe/Madrid",
    "Tokyo": "Asia/Tokyo",
    "Sydney": "Australia/Sydney",
    "Melbourne": "Australia/Melbourne",
    "Brisbane": "Australia/Brisbane",
}
