"""The kept history: the contract's tables as `lifecycle ingest` keeps them, and how they are read.

files ─► read_tables (the contract) ─► ingest: what is new becomes a piece ─► manifest.json
                                                                                   │
                         load_history ◄─ the tables in canonical order ◄─ read ────┘
"""
