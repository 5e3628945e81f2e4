"""The manifest of a release: the hash of every file, the format, the id, and when it was made."""

from __future__ import annotations

import hashlib
from datetime import datetime
from pathlib import Path
from typing import Any

from features.core.errors import ReleaseRefused
from serving.release.file_rules import check_rules
from serving.release.json_files import NEVER_EDIT, parse_object
from serving.release.release_rules import ManifestFile
from serving.release.release_store import releases_folder

# Counted up whenever a file of a release changes its meaning; other formats are refused.
FORMAT = 8
TRAIN_AGAIN = "Train again: `lifecycle run` (or `lifecycle train`, then `lifecycle promote`)."
FileHashes = dict[str, dict[str, Any]]


def hash_files(folder: Path) -> FileHashes:
    """sha256 and size of every file under `folder` but the manifest, by relative path."""
    result: FileHashes = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "manifest.json"):
        raw = path.read_bytes()
        result[path.relative_to(folder).as_posix()] = {
            "sha256": hashlib.sha256(raw).hexdigest(),
            "size": len(raw),
        }
    return result


def content_id(files: FileHashes) -> str:
    """The id of a release with these files: 16 hex digits."""
    lines = (f"{name}\n{files[name]['sha256']}\n" for name in sorted(files))
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:16]


def altered_files(actual: FileHashes, recorded: FileHashes) -> list[str]:
    """The names of files that are missing, new, or not as the manifest records them."""
    names = sorted({*actual, *recorded})
    return [name for name in names if actual.get(name) != recorded.get(name)]


def creation_time(folder: Path) -> datetime | None:
    """When a release was written, of any format; None where its manifest does not say so."""
    try:
        at = datetime.fromisoformat(_read_manifest(folder)["made_at"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return at if at.tzinfo else None


def verify_release(folder: Path) -> str:
    """The id, after every file was compared with the manifest; ReleaseRefused otherwise.

    No file but the manifest is parsed. In the store, the folder must be named by the id.
    """
    where = f"release {folder.name}"
    try:
        manifest = _read_manifest(folder)
        format_number = manifest["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        got, rule = "no readable manifest", "A release has a manifest."
        raise ReleaseRefused(where=where, got=got, rule=rule, fix=NEVER_EDIT) from error
    # Before the hashes: an old release is not damaged, and needs another fix.
    if type(format_number) is not int or format_number != FORMAT:
        got = f"format {format_number}" if type(format_number) is int else "an unknown format"
        rule = f"This version of lifecycle reads releases of format {FORMAT}."
        raise ReleaseRefused(where=where, got=got, rule=rule, fix=TRAIN_AGAIN)
    check_rules(ManifestFile, manifest, file="manifest.json", name=folder.name)
    name = _verify_files(folder, manifest["files"], where)
    if name != manifest["id"]:
        got, rule = "an id that does not fit its files", "The id is the hash of the files."
        raise ReleaseRefused(where=where, got=got, rule=rule, fix=NEVER_EDIT)
    if folder.name != name and folder.parent.resolve() == releases_folder():
        raise ReleaseRefused(
            where=where,
            got=f"a folder that holds release {name}",
            rule="A folder under mlruns/releases is named by the id of its release.",
            fix=f"Rename the folder to {name}, or remove it.",
        )
    return name


def _read_manifest(folder: Path) -> dict[str, Any]:
    return parse_object((folder / "manifest.json").read_bytes())


def _verify_files(folder: Path, recorded: FileHashes, where: str) -> str:
    """The id that the files have; ReleaseRefused where one is not as it was written."""
    try:
        files = hash_files(folder)
    except OSError as error:
        got = f"files that cannot be read: {error.strerror or 'a read that failed'}"
        rule = "Every file of a release is read before use."
        raise ReleaseRefused(where=where, got=got, rule=rule, fix=NEVER_EDIT) from error
    if altered := altered_files(files, recorded):
        got = f"{len(altered)} files that are not as they were written: {', '.join(altered[:3])}"
        rule = "Every file has the hash and size of the manifest."
        raise ReleaseRefused(where=where, got=got, rule=rule, fix=NEVER_EDIT)
    return content_id(files)
