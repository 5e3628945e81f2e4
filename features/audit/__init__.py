"""`lifecycle audit`: every promise about time, tried on the user's own tables, and what there looks like a leak.

    tables ─► ten as_of ─► the same knowledge in other worlds ─► equal, bit for bit?      (parity, worlds)
                       └─► rows beside what came of them    ─► does one column know it?   (leaks)
           └─► columns no feature reads yet, clocks         ─► as of today? a load time?  (attributes, clocks)

`audit` gives plain data, `text` a table of it.
"""

from __future__ import annotations

from features.audit.report import text
from features.audit.run import audit

__all__ = ["audit", "text"]
