"""`lifecycle audit`: checks on the user's own tables that features use only what was known.

    tables ─► ten as_of ─► the same knowledge, other tables ─► equal bits?   (parity, perturbations)
                       └─► rows and their outcomes ─► does one column reveal them?         (leaks)
           └─► columns that no feature reads, clocks ─► today's values? load times?
                                                                            (attributes, clocks)

`audit` returns plain data, `report_text` turns it into text. `audit_table` judges a feature table
that somebody else made (`features.audit.feature_table`).
"""

from __future__ import annotations

from features.audit.feature_table import audit_table, read_feature_table, table_text
from features.audit.report import report_text
from features.audit.run import audit

__all__ = ["audit", "audit_table", "read_feature_table", "report_text", "table_text"]
