"""`lifecycle audit`: checks on the user's own tables that features use only what was known.

    tables ─► ten as_of ─► the same knowledge, other tables ─► equal bits?   (parity, perturbations)
                       └─► rows and their outcomes ─► does one column reveal them?         (leaks)
           └─► columns that no feature reads, clocks ─► today's values? load times?
                                                                            (attributes, clocks)

`audit` returns plain data, `report_text` turns it into text.
"""

from __future__ import annotations

from features.audit.report import report_text
from features.audit.run import audit

__all__ = ["audit", "report_text"]
