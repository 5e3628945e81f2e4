"""The addresses of the pages for people: which there are, in which language, under which name.

English has no prefix, Chinese has `/zh`. So an address says its language, and a link keeps it.
"""

from __future__ import annotations

from urllib.parse import quote

from features.core.language import CHINESE, ENGLISH

PREFIXES = {ENGLISH: "", CHINESE: "/zh"}
CUSTOMER_PAGE, SEARCH, REFERENCE = "/customers/", "/search", "/reference"
REPORT_FOLDER = "/report/"
REPORT = f"{REPORT_FOLDER}report.html"
STARTS = ("/", *filter(None, PREFIXES.values()))
SEARCHES = tuple(f"{prefix}{SEARCH}" for prefix in PREFIXES.values())
CUSTOMER_PAGES = tuple(f"{prefix}{CUSTOMER_PAGE}" for prefix in PREFIXES.values())
FIXED_PAGES = (*STARTS, *SEARCHES, REFERENCE)
# A browser takes them out of any address, also where they are written as %2E.
UNREACHABLE_IDS = (".", "..")
# The key of a scope whose value is the path as it was sent: "path" is the one that is routed.
SENT_PATH = "lifecycle.path"


def page_language(path: str) -> str:
    """The language that an address says."""
    prefix = PREFIXES[CHINESE]
    return CHINESE if path == prefix or path.startswith(f"{prefix}/") else ENGLISH


def start_address(language: str) -> str:
    """The address of the start page."""
    return PREFIXES[language] or "/"


def customer_address(customer: str, language: str) -> str:
    """The address of a customer's page; slashes of the id are written as %2F.

    Example: `customer_address("a/b", "zh")` is `/zh/customers/a%2Fb`.
    """
    return f"{PREFIXES[language]}{CUSTOMER_PAGE}{quote(customer, safe='')}"


def page_name(path: str) -> str | None:
    """The name of a page for people in counters and log: an id, or a file, is never part of it.

    None for what is no page for people.
    """
    if path in FIXED_PAGES:
        return path
    for start in CUSTOMER_PAGES:
        if path.startswith(start) and len(path) > len(start):
            return f"{start}{{id}}"
    return f"{REPORT_FOLDER}{{file}}" if path.startswith(REPORT_FOLDER) else None
