"""Names of zones in exports: letters with a fixed offset, and places with their clock changes.

Letters that stand for several zones (CST of China, IST of Ireland) mean the one that the vendors
of the known formats use them for; letters that are not here leave a time without an offset.
"""

from __future__ import annotations

# The letters of each zone in winter and in summer.
ZONES: tuple[dict[str, str], ...] = (
    {"UTC": "+00:00"},
    {"GMT": "+00:00", "BST": "+01:00"},
    {"CET": "+01:00", "CEST": "+02:00"},
    {"EET": "+02:00", "EEST": "+03:00"},
    {"EST": "-05:00", "EDT": "-04:00"},
    {"CST": "-06:00", "CDT": "-05:00"},
    {"MST": "-07:00", "MDT": "-06:00"},
    {"PST": "-08:00", "PDT": "-07:00"},
    {"AEST": "+10:00", "AEDT": "+11:00"},
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
