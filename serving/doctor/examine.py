"""`lifecycle doctor`: what is wrong here, and what to do about it. It reads, and changes nothing.

Versions, the home folder, disk, what killed jobs left, the release, the scores, the keys. It needs neither MLflow nor
the service; what only training has is examined in `training.doctor`. A finding names folders, never a customer or key.
"""

from __future__ import annotations

import json
import shlex
import shutil
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from features.core.errors import ReleaseRefused
from features.core.settings import home
from serving.api import keys
from serving.doctor.findings import STATES, Finding, guarded, text, worst
from serving.doctor.installed import installed, versions
from serving.release import release as releases
from serving.release.sandbox import load_in_subprocess

__all__ = ["STATES", "Finding", "examine", "text", "worst"]

DAY_S = 86_400
GB, MB = 10**9, 10**6
# Three months after its newest training date a model's calibration error had tripled; a night may fail, three may not.
OLDEST_RELEASE_DAYS, OLDEST_SCORES_DAYS = 90, 3
LEFTOVER_S = 3600


def examine(*, now: float | None = None) -> list[Finding]:
    """Everything there is to find, in reading order. `now`: seconds since 1970 (default: the machine's clock)."""
    at = time.time() if now is None else now
    return [
        finding
        for name, check in CHECKS.items()
        for finding in guarded(name, lambda check=check: check(at))
    ]


def _home(_: float) -> list[Finding]:
    root = home()
    if not root.is_dir():
        fix = "Set LIFECYCLE_HOME to a folder."
        if not root.exists():
            fix = f"`mkdir -p {shlex.quote(str(root))}`, or set LIFECYCLE_HOME to the folder that was meant."
        return [Finding("home", "failed", f"{root} is no folder", fix)]
    for place in (root, root / "mlruns", releases.releases(), root / "scores"):
        if place.exists() and (trouble := _unwritable(place)):
            fix = f"Give this user the right to write in {place}, or set LIFECYCLE_HOME to a folder where it may."
            return [Finding("home", "failed", f"{place} cannot be written: {trouble}", fix)]
    return [Finding("home", "ok", str(root))]


def _unwritable(place: Path) -> str:
    """Why nothing can be written there, by writing; rights alone do not tell of a read-only or full disk."""
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"written by lifecycle doctor")
            file.flush()
    except OSError as error:
        return error.strerror or type(error).__name__
    return ""


def _disk(_: float) -> list[Finding]:
    """Room on the disk of the home folder, also in runs as large as those of the newest date."""
    if not home().is_dir():
        return []
    free, run = shutil.disk_usage(home()).free, _newest_run_size()
    found = f"{_size(free)} free" + (
        f", room for {free // run:,} more runs of {_size(run)}" if run else ""
    )
    if free < max(500 * MB, run):
        return [
            Finding(
                "disk",
                "failed",
                found,
                "Free space before the next job: old folders under scores/, or another disk.",
            )
        ]
    if free < max(5 * GB, 7 * run):
        return [
            Finding(
                "disk",
                "warning",
                found,
                "Free space soon: old folders under scores/, or another disk.",
            )
        ]
    return [Finding("disk", "ok", found)]


def _newest_run_size() -> int:
    newest = max((home() / "scores").glob("as_of=*"), key=lambda path: path.name, default=None)
    runs = newest.glob("run=*") if newest else []
    return max(
        (sum(path.stat().st_size for path in run.rglob("*") if path.is_file()) for run in runs),
        default=0,
    )


def _size(size: int) -> str:
    return f"{size / GB:,.1f} GB" if size >= GB else f"{size / MB:,.1f} MB"


def _leftovers(now: float) -> list[Finding]:
    """Staged folders of killed jobs. A running job writes into its own all the time, so an hour is long enough."""
    roots = [root for root in (home() / "mlruns", home() / "scores") if root.is_dir()]
    names = (".staged-*", ".making-*")
    staged = [
        path
        for root in roots
        for name in names
        for deep in ("", "*/")
        for path in root.glob(deep + name)
    ]
    old = [path for path in staged if now - path.stat().st_mtime > LEFTOVER_S]
    if not old:
        return [Finding("leftovers", "ok", "none of killed jobs")]
    where = " ".join(shlex.quote(str(root)) for root in roots)
    fix = rf"`find {where} -maxdepth 2 \( -name '.staged-*' -o -name '.making-*' \) -mmin +60 -prune -exec rm -r {{}} +`"
    return [Finding("leftovers", "warning", f"{len(old)} staged folders of killed jobs", fix)]


def _release(_: float) -> list[Finding]:
    """Whether what is served is whole, loads (in a child: a bad model can crash whoever reads it), and scores as it did."""
    root = releases.releases()
    made = (
        [path for path in root.glob("*") if (path / "manifest.json").is_file()]
        if root.is_dir()
        else []
    )
    if not made:
        return [
            Finding(
                "release",
                "warning",
                "none was made yet",
                "`lifecycle run -c …`, or bring mlruns/releases here.",
            )
        ]
    folder = _served()
    if not (root / "CURRENT").exists():
        return [
            Finding("release", "warning", f"{len(made)} made, none promoted", "`lifecycle promote`")
        ]
    if folder is None:
        return [
            Finding(
                "release",
                "failed",
                "CURRENT names no release",
                "`lifecycle promote`, which writes it anew.",
            )
        ]
    try:
        releases.verify(folder)
    except ReleaseRefused as error:
        # Training again on equal data gives the same id, and finds the damaged folder in its place: it has to go first.
        fix = f"`rm -r {shlex.quote(str(folder))}`, then `lifecycle promote` for the newest left, or `lifecycle run -c …`"
        return [Finding("release", "failed", f"{folder.name} is damaged: {error.got}", fix)]
    load_in_subprocess(folder)
    return [Finding("release", "ok", f"{folder.name} is verified and gives its golden scores")]


def _served() -> Path | None:
    try:
        return releases.current()
    except (ReleaseRefused, ValueError):
        return None


def _told(now: float) -> list[Finding]:
    """What a whole release says of itself, also when it does not load here: the versions may be why."""
    folder = _served()
    if folder is None:
        return []
    try:
        releases.verify(folder)
    except ReleaseRefused:
        return []  # told by `_release`
    manifest = json.loads((folder / "manifest.json").read_text())
    status = json.loads((folder / "models.json").read_text())["status"]
    return [_made_with(manifest), _status(status), _age(manifest, folder, now)]


def _made_with(manifest: dict[str, Any]) -> Finding:
    made = manifest.get("versions", {})
    other = {
        name: there for name in sorted(made) if (there := installed(name)) and there != made[name]
    }
    if not other:
        return Finding("release versions", "ok", "made with the versions that are installed")
    found = ", ".join(f"{name} {made[name]}, here {there}" for name, there in other.items())
    fix = "None is needed: its golden scores agree within 1e-9. For equal bits install its versions, or train again here."
    return Finding("release versions", "warning", f"made with {found}", fix)


def _status(status: str) -> Finding:
    if status == "ok":
        return Finding("release status", "ok", "ok")
    fix = "Scores are base rates until there are more customers, more history or other [features]; `lifecycle check` advises."
    return Finding("release status", "warning", status, fix)


def _age(manifest: dict[str, Any], folder: Path, now: float) -> Finding:
    """Days since it was made, and from what it knows to what it scores (to now, where nothing was scored)."""
    made = int((now - datetime.fromisoformat(manifest["made_at"]).timestamp()) // DAY_S)
    base = pq.read_table(folder / "base.parquet", columns=["as_of"])["as_of"][0].as_py() / 1e6
    pointed = _pointed()
    asked, until = (pointed["as_of"] / 1e6, "its newest scores") if pointed else (now, "now")
    behind = max(0, int((asked - base) // DAY_S))
    found = f"made {made:,} days ago; its base is {behind:,} days older than {until}"
    if max(made, behind) <= OLDEST_RELEASE_DAYS:
        return Finding("release age", "ok", found)
    return Finding(
        "release age",
        "warning",
        found,
        "`lifecycle run -c …` on newer data: calibration fades in about three months.",
    )


def _pointed() -> dict[str, Any] | None:
    """What scores/LATEST says, with its folder whole; None where it cannot be followed."""
    root = home() / "scores"
    try:
        stated = json.loads((root / "LATEST").read_text())
        folder = (root / stated["folder"]).resolve()
        if not folder.is_relative_to(root.resolve()) or not folder.is_dir():
            return None
        return {"as_of": int(stated["as_of"]), "folder": folder}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _scores(now: float) -> list[Finding]:
    pointed, root = _pointed(), home() / "scores"
    if pointed is None:
        if not (root / "LATEST").exists() and not any(root.glob("as_of=*/run=*")):
            return [Finding("scores", "warning", "nobody was scored yet", "`lifecycle score -c …`")]
        return [
            Finding(
                "scores",
                "failed",
                "scores/LATEST names no run",
                "`lifecycle score -c …`, which writes it anew.",
            )
        ]
    folder = pointed["folder"]
    changed, manifest = _changed(folder)
    if changed:
        at = folder.parent.name.removeprefix("as_of=")
        fix = f"`rm -r {shlex.quote(str(folder))}`, then `lifecycle score -c … --as-of {at}`"
        return [
            Finding("scores", "failed", f"the newest run is not as it was written: {changed}", fix)
        ]
    return [
        Finding("scores", "ok", f"the newest run is whole: {manifest['rows']:,} customers"),
        _scores_age(manifest, now),
        _scores_release(manifest),
    ]


def _changed(folder: Path) -> tuple[str, dict[str, Any]]:
    """What of a run differs from its manifest ('' for nothing), and the manifest."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        stated = manifest["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return "no readable manifest", {}
    found = releases.hashes(folder)
    differs = sorted(name for name in {*found, *stated} if found.get(name) != stated.get(name))
    return ", ".join(differs[:3]), manifest


def _scores_age(manifest: dict[str, Any], now: float) -> Finding:
    days = int((now - manifest["as_of"] / 1e6) // DAY_S)
    found = f"as of {manifest['as_of_text']}, {days:,} days ago"
    if days <= OLDEST_SCORES_DAYS:
        return Finding("scores age", "ok", found)
    return Finding(
        "scores age",
        "warning",
        found,
        "`lifecycle score -c …` on newer data; see why the nightly job did not.",
    )


def _scores_release(manifest: dict[str, Any]) -> Finding:
    pointer = releases.releases() / "CURRENT"
    served = pointer.read_text().strip() if pointer.is_file() else "none"
    if manifest["release"] == served:
        return Finding("scores release", "ok", "scored with the release that is served")
    found = f"scored with {manifest['release']}, served is {served}"
    return Finding(
        "scores release",
        "warning",
        found,
        f"`lifecycle score -c … --as-of {manifest['as_of_text']}`",
    )


def _keys(_: float) -> list[Finding]:
    path, seen = shlex.quote(str(home() / keys.FILE)), keys.found()
    if seen.problem:
        readable = bool(seen.hashes)
        fix = (
            f"`chmod 600 {path}`"
            if readable
            else f"`rm {path}`, then `lifecycle serve`, which makes a new key."
        )
        return [Finding("keys", "failed", seen.problem, fix)]
    if seen.count:
        return [Finding("keys", "ok", f"{seen.count} from the {seen.source}")]
    if installed("bentoml") is None:
        return [Finding("keys", "ok", "none, and no service is installed here")]
    return [
        Finding("keys", "warning", "none yet", "`lifecycle serve` makes one and prints it once.")
    ]


CHECKS: dict[str, Callable[[float], list[Finding]]] = {
    "libraries": lambda _: versions(),
    "home": _home,
    "disk": _disk,
    "leftovers": _leftovers,
    "release": _release,
    "release versions": _told,
    "scores": _scores,
    "keys": _keys,
}
