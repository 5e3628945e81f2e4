"""`lifecycle audit --features FILE`: anybody's feature table, judged by what was known.

    file ─► rows of ours at as_of ─► equal to one of ours at as_of?         cleared
                                 └─► equal to one of ours at a later instant?   time travel
                                 └─► tells who leaves as nothing known can?      leak signs

`audit_table` returns plain data, `table_text` turns it into text. Nothing is accused without its
figures.
"""

from __future__ import annotations

from features.audit.feature_table.judgement import audit_table
from features.audit.feature_table.reading import read_feature_table
from features.audit.feature_table.text import table_text

__all__ = ["audit_table", "read_feature_table", "table_text"]
