"""Where releases are: mlruns/releases under LIFECYCLE_HOME, a folder each, named by its id.

CURRENT there holds the id of the release that is served. A name that is no id (a path, `..`) is
refused: only a folder of the store is ever served.
"""

from __future__ import annotations

import re
from pathlib import Path

from features.core.errors import ReleaseRefused
from features.core.settings import home

_ID = re.compile(r"[0-9a-f]{16}")
PROMOTE_FIRST = "Run `lifecycle run -c …`, or `lifecycle train -c …` and then `lifecycle promote`."


def releases_folder() -> Path:
    """Where releases are stored, under LIFECYCLE_HOME."""
    return home() / "mlruns" / "releases"


def is_release_id(name: str) -> bool:
    """Whether `name` can be the id of a release: 16 hex digits."""
    return _ID.fullmatch(name) is not None


def stored_folders() -> list[Path]:
    """The folders of the store that are named like a release and have a manifest, by name."""
    manifests = sorted(releases_folder().glob("*/manifest.json"))
    return [path.parent for path in manifests if is_release_id(path.parent.name)]


def current_release_folder() -> Path:
    """The folder that CURRENT names; ReleaseRefused where it names no release of the store."""
    pointer = releases_folder() / "CURRENT"
    if not pointer.is_file():
        raise _no_current("no promoted release", PROMOTE_FIRST)
    try:
        name = pointer.read_bytes().decode("ascii").strip()
    except (OSError, ValueError) as error:
        raise _damaged_pointer() from error
    if not is_release_id(name):
        raise _damaged_pointer()
    if not (releases_folder() / name).is_dir():
        raise _no_current("no promoted release: the folder it names is gone", PROMOTE_FIRST)
    return releases_folder() / name


def served_release_id() -> str | None:
    """The id in CURRENT; None where it names no release."""
    try:
        return current_release_folder().name
    except ReleaseRefused:
        return None


def _damaged_pointer() -> ReleaseRefused:
    fix = "Type: lifecycle promote (it writes CURRENT again)"
    return _no_current("no promoted release: the file does not hold an id", fix)


def _no_current(got: str, fix: str) -> ReleaseRefused:
    rule = "Scores need a promoted release; CURRENT holds its id, 16 hex digits."
    return ReleaseRefused(where="mlruns/releases/CURRENT", got=got, rule=rule, fix=fix)
