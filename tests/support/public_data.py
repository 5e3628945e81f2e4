"""Public data sets, where they are installed (docs/data.md)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

DATA = Path(
    os.environ.get("LIFECYCLE_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data"
)


def public_file(name: str) -> Path:
    """The path of a public data file, or a skip that names what is missing."""
    path = DATA / name
    if not path.is_file():
        pytest.skip(f"public data absent: {name} under LIFECYCLE_DATA (see docs/data.md)")
    return path
