"""What looks wrong in the tables of a business, before anything is learned from them.

Each module looks at one kind of thing and yields `Finding`s; `find_implausible` asks them all.
Nothing is changed and nothing is dropped: a finding says what was counted and what to type.
"""

from __future__ import annotations

from features.plausibility.all_findings import find_implausible
from features.plausibility.definition import definition_report
from features.plausibility.finding import Finding

__all__ = ["Finding", "definition_report", "find_implausible"]
