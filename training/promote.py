"""Promotion: a release is verified whole, then CURRENT names it. This alone decides what is served.

The registered models' alias `champion` follows. Where the store is away it lags, and the next promotion, the next
training, `repair` or `lifecycle runs` moves it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from features.errors import ReleaseRefused, StoreFailed
from features.progress import say
from serving import release as releases
from training import tracking
from training.tracking import lagging, repair

__all__ = ["lagging", "newest", "promote", "repair"]


def promote(name: str | None = None) -> releases.Release:
    """Verify release `name` (default: the newest), rebuild its golden rows, then replace CURRENT atomically.

    `champion` follows as far as the store can be reached; a promotion never fails for it.
    """
    folder = releases.releases() / name if name else newest()
    if not (folder / "manifest.json").is_file():
        raise ReleaseRefused(where="promote", got="no such release", rule="ID names a folder under mlruns/releases.",
                             fix="Leave ID out for the newest, or look at what is there.")  # fmt: skip
    release = releases.load(folder)
    staged = releases.releases() / f".CURRENT-{os.getpid()}"
    try:
        staged.write_text(release.id + "\n")
        os.replace(staged, releases.releases() / "CURRENT")
    except OSError as error:
        raise StoreFailed(where="mlruns/releases/CURRENT", got=error.strerror or "a write that failed",
                          rule="The release store must be writable.", fix="Free space or rights; promote again.") from error  # fmt: skip
    try:
        tracking.repair()
    except StoreFailed as error:
        say(f"served; the alias champion in MLflow follows later ({error.got})")
    return release


def newest() -> Path:
    """The release that was made last."""
    folders = [path for path in releases.releases().glob("*") if (path / "manifest.json").is_file()]
    if not folders:
        raise ReleaseRefused(where="promote", got="no release at all", rule="A release is made by `lifecycle train`.",
                             fix="Run `lifecycle train -c …` first.")  # fmt: skip
    return max(folders, key=lambda path: json.loads((path / "manifest.json").read_text())["made_at"])
