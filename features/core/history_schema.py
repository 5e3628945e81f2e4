"""`[history]`: where the tables are kept that `lifecycle ingest` has checked once."""

from __future__ import annotations

from pydantic import Field, field_validator

from features.core.config_schema import Section


class KeptHistory(Section):
    folder: str | None = None
    """The folder of the kept history, relative to the configuration's. `lifecycle ingest` adds what
    the files have that is new; every other command reads the folder and no file. If not set: every
    command reads the files.
    """
    buckets: int = Field(default=64, ge=1, le=4096)
    """The number of parts by a hash of the customer id. It is fixed when the folder is made."""

    @field_validator("folder")
    @classmethod
    def _read_none(cls, folder: str | None) -> str | None:
        return folder or None  # --set history.folder="" reads the files
