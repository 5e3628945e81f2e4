"""The colours of pages in light and dark, and the looks of marks: told apart without colour too."""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).parent
COLOURS = (_FOLDER / "colours.css").read_text(encoding="utf-8")
PICTURES = (_FOLDER / "pictures.css").read_text(encoding="utf-8")
