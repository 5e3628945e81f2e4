"""`lifecycle doctor`: what is wrong here, and what to do about it. It reads, and changes nothing.

Versions, the home folder, disk, leftovers of killed jobs, the release, the scores, the keys. It
needs neither MLflow nor the service; what only training has is examined in `training.doctor`. A
finding names folders, never a customer or a key.
"""

from __future__ import annotations

import json
import shlex
import shutil
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, TypedDict

import pyarrow.parquet as pq

from features.core.errors import ReleaseRefused
from features.core.latest_run import read_latest
from features.core.settings import home
from serving.api import key_file, keys
from serving.api.console.report_files import FOLDER as REPORT
from serving.doctor.findings import STATES, Finding, findings_text, run_check, worst_state
from serving.doctor.installed import check_versions, installed_version
from serving.release import release as releases
from serving.release.sandbox import load_in_subprocess

__all__ = ["STATES", "Finding", "examine", "findings_text", "worst_state"]

DAY_S = 86_400
GB, MB = 10**9, 10**6
# Three months after its newest training date, the calibration error of a model had tripled. One
# night without scores may happen, three may not.
OLDEST_RELEASE_DAYS, OLDEST_SCORES_DAYS = 90, 3
LEFTOVER_S = 3600


class LatestRun(TypedDict):
    """The run that scores/LATEST names; `as_of` in µs UTC."""

    as_of: int
    folder: Path


def examine(*, now: float | None = None) -> list[Finding]:
    """All findings, in reading order. `now`: seconds since 1970 (default: the machine's clock)."""
    clock = time.time() if now is None else now
    return [
        finding
        for name, check in CHECKS.items()
        for finding in run_check(name, partial(check, clock))
    ]


def _check_home(_: float) -> list[Finding]:
    root = home()
    if not root.is_dir():
        fix = "Set LIFECYCLE_HOME to a folder."
        if not root.exists():
            fix = f"`mkdir -p {shlex.quote(str(root))}`, or set LIFECYCLE_HOME to another folder."
        return [Finding("home", "failed", f"{root} is no folder", fix)]
    for folder in (root, root / "mlruns", releases.releases_folder(), root / "scores"):
        if folder.exists() and (problem := _write_problem(folder)):
            observed = f"{folder} cannot be written: {problem}"
            fix = (
                f"Give this user the right to write in {folder}, "
                "or set LIFECYCLE_HOME to another folder."
            )
            return [Finding("home", "failed", observed, fix)]
    return [Finding("home", "ok", str(root))]


def _write_problem(folder: Path) -> str:
    """Why nothing can be written there, '' if it can.

    It writes: the rights alone do not show a disk that is read-only or full.
    """
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"written by lifecycle doctor")
            file.flush()
    except OSError as error:
        return error.strerror or type(error).__name__
    return ""


def _check_disk(_: float) -> list[Finding]:
    """Free space on the disk of the home folder, also in runs as large as the newest."""
    if not home().is_dir():
        return []
    free, run = shutil.disk_usage(home()).free, _newest_run_size()
    observed = f"{_size_text(free)} free"
    if run:
        observed += f", enough for {free // run:,} more runs of {_size_text(run)}"
    # The next run must fit; below a week of runs there is still time to act.
    if free < max(500 * MB, run):
        fix = "Delete old folders under scores/ before the next job, or use another disk."
        return [Finding("disk", "failed", observed, fix)]
    if free < max(5 * GB, 7 * run):
        fix = "Delete old folders under scores/ soon, or use another disk."
        return [Finding("disk", "warning", observed, fix)]
    return [Finding("disk", "ok", observed)]


def _newest_run_size() -> int:
    """The bytes of the largest run of the newest as_of; 0 without runs."""
    newest = max((home() / "scores").glob("as_of=*"), key=lambda path: path.name, default=None)
    runs = newest.glob("run=*") if newest else []
    return max(
        (sum(path.stat().st_size for path in run.rglob("*") if path.is_file()) for run in runs),
        default=0,
    )


def _size_text(size: int) -> str:
    return f"{size / GB:,.1f} GB" if size >= GB else f"{size / MB:,.1f} MB"


def _check_leftovers(now: float) -> list[Finding]:
    """Staged folders of killed jobs: those that nothing was written to for an hour.

    The next job that writes in the same place removes them, where the system has locks.
    """
    roots = [root for root in (home() / "mlruns", home() / "scores") if root.is_dir()]
    patterns = [depth + name for name in (".staged-*", ".making-*") for depth in ("", "*/")]
    staged = [path for root in roots for pattern in patterns for path in root.glob(pattern)]
    # A running job writes into its staged folder all the time, so an hour is long enough.
    old = [path for path in staged if now - path.stat().st_mtime > LEFTOVER_S]
    if not old:
        return [Finding("leftovers", "ok", "no folders of killed jobs older than an hour")]
    where = " ".join(shlex.quote(str(root)) for root in roots)
    names = r"\( -name '.staged-*' -o -name '.making-*' \)"
    fix = f"`find {where} -maxdepth 2 {names} -mmin +60 -prune -exec rm -r {{}} +`"
    return [Finding("leftovers", "warning", f"{len(old)} staged folders of killed jobs", fix)]


def _check_release(_: float) -> list[Finding]:
    """Whether the served release is undamaged, loads, and gives its golden scores.

    It loads in a child process: a bad model can crash its reader.
    """
    root = releases.releases_folder()
    count = sum(1 for path in root.glob("*") if (path / "manifest.json").is_file())
    if not count:
        fix = "`lifecycle run -c …`, or copy mlruns/releases here."
        return [Finding("release", "warning", "none trained yet", fix)]
    if not (root / "CURRENT").exists():
        observed = f"{count} trained, none promoted"
        return [Finding("release", "warning", observed, "`lifecycle promote`")]
    folder = _served_folder()
    if folder is None:
        fix = "`lifecycle promote`, which writes CURRENT again."
        return [Finding("release", "failed", "CURRENT names no release", fix)]
    try:
        releases.verify_release(folder)
    except ReleaseRefused as error:
        return [_refused_release(folder, error)]
    load_in_subprocess(folder)
    observed = f"{folder.name} is verified and gives its golden scores"
    return [Finding("release", "ok", observed)]


def _refused_release(folder: Path, error: ReleaseRefused) -> Finding:
    if error.fix == releases.TRAIN_AGAIN:
        return Finding("release", "failed", f"{folder.name} has {error.got}", error.fix)
    # To train again on equal data gives the same id, and would find the damaged folder in its
    # place: it has to be removed first.
    remove = f"`rm -r {shlex.quote(str(folder))}`"
    fix = f"{remove}, then `lifecycle promote` for the newest left, or `lifecycle run -c …`"
    return Finding("release", "failed", f"{folder.name} is damaged: {error.got}", fix)


def _served_folder() -> Path | None:
    try:
        return releases.current_release_folder()
    except (ReleaseRefused, ValueError):
        return None


def _check_release_details(now: float) -> list[Finding]:
    """Versions, status and age of an undamaged release.

    Also where it does not load: other versions may be the cause.
    """
    folder = _served_folder()
    if folder is None:
        return []
    try:
        releases.verify_release(folder)
    except ReleaseRefused:
        return []  # reported by `_check_release`
    manifest = json.loads((folder / "manifest.json").read_text())
    status = json.loads((folder / "models.json").read_text())["status"]
    return [
        _release_versions(manifest),
        _release_status(status),
        _release_age(manifest, folder, now),
    ]


def _release_versions(manifest: dict[str, Any]) -> Finding:
    trained = manifest.get("versions", {})
    other = {
        name: present
        for name in sorted(trained)
        if (present := installed_version(name)) and present != trained[name]
    }
    if not other:
        return Finding("release versions", "ok", "trained with the versions that are installed")
    names = ", ".join(f"{name} {trained[name]}, here {present}" for name, present in other.items())
    fix = (
        "None is needed: its golden scores agree within 1e-9. "
        "For equal bits install its versions, or train again here."
    )
    return Finding("release versions", "warning", f"trained with {names}", fix)


def _release_status(status: str) -> Finding:
    if status == "ok":
        return Finding("release status", "ok", "ok")
    fix = (
        "Scores are base rates until there are more customers, more history or other [features]. "
        "`lifecycle check` says what is missing."
    )
    return Finding("release status", "warning", status, fix)


def _release_age(manifest: dict[str, Any], folder: Path, now: float) -> Finding:
    """Days since the training, and from its population to the newest scores (or to now)."""
    age = int((now - datetime.fromisoformat(manifest["made_at"]).timestamp()) // DAY_S)
    statistics = pq.read_table(folder / "population.parquet", columns=["as_of"])
    known_until = statistics["as_of"][0].as_py() / 1e6
    latest = _latest_run()
    scored, until = (latest["as_of"] / 1e6, "its newest scores") if latest else (now, "now")
    lag = max(0, int((scored - known_until) // DAY_S))
    observed = f"trained {age:,} days ago; its population is {lag:,} days older than {until}"
    if max(age, lag) <= OLDEST_RELEASE_DAYS:
        return Finding("release age", "ok", observed)
    fix = "`lifecycle run -c …` on newer data: calibration gets worse within about three months."
    return Finding("release age", "warning", observed, fix)


def _latest_run() -> LatestRun | None:
    """The run that scores/LATEST names; None where it names none."""
    try:
        as_of, folder = read_latest(home() / "scores")
    except (OSError, ValueError):
        return None
    return {"as_of": as_of, "folder": folder} if folder.is_dir() else None


def _check_scores(now: float) -> list[Finding]:
    latest, root = _latest_run(), home() / "scores"
    if latest is None:
        if not (root / "LATEST").exists() and not any(root.glob("as_of=*/run=*")):
            fix = "`lifecycle score -c …`"
            return [Finding("scores", "warning", "no customer was scored yet", fix)]
        fix = "`lifecycle score -c …`, which writes LATEST again."
        return [Finding("scores", "failed", "scores/LATEST names no run", fix)]
    folder = latest["folder"]
    difference, manifest = _difference_from_manifest(folder)
    if difference:
        day = folder.parent.name.removeprefix("as_of=")
        observed = f"the newest run is not as it was written: {difference}"
        remove = f"`rm -r {shlex.quote(str(folder))}`"
        fix = f"{remove}, then `lifecycle score -c … --as-of {day}`"
        return [Finding("scores", "failed", observed, fix)]
    return [
        Finding("scores", "ok", f"the newest run is undamaged: {manifest['rows']:,} customers"),
        _scores_age(manifest, now),
        _scores_release(manifest),
    ]


def _difference_from_manifest(folder: Path) -> tuple[str, dict[str, Any]]:
    """(the first files that differ from the run's manifest, '' for none; the manifest)."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        recorded = dict(manifest["files"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "no readable manifest", {}
    files = releases.hash_files(folder)
    # `run` draws the report into the folder of a finished run.
    written = {name: one for name, one in files.items() if not name.startswith(f"{REPORT}/")}
    return ", ".join(releases.altered_files(written, recorded)[:3]), manifest


def _scores_age(manifest: dict[str, Any], now: float) -> Finding:
    days = int((now - manifest["as_of"] / 1e6) // DAY_S)
    observed = f"as of {manifest['as_of_text']}, {days:,} days ago"
    if days <= OLDEST_SCORES_DAYS:
        return Finding("scores age", "ok", observed)
    fix = "`lifecycle score -c …` on newer data; find out why the nightly job did not run."
    return Finding("scores age", "warning", observed, fix)


def _scores_release(manifest: dict[str, Any]) -> Finding:
    pointer = releases.releases_folder() / "CURRENT"
    served = pointer.read_text().strip() if pointer.is_file() else "none"
    if manifest["release"] == served:
        return Finding("scores release", "ok", "scored with the release that is served")
    observed = f"scored with {manifest['release']}, served is {served}"
    fix = f"`lifecycle score -c … --as-of {manifest['as_of_text']}`"
    return Finding("scores release", "warning", observed, fix)


def _check_keys(_: float) -> list[Finding]:
    path, known = shlex.quote(str(key_file.key_path())), keys.load_keys()
    if known.problem:
        fix = f"`rm {path}`, then `lifecycle key new`: no former key opens anything then."
        if known.hashes:  # it is readable, for too many
            fix = f"`chmod 600 {path}`"
        return [Finding("keys", "failed", known.problem, fix)]
    if known.count:
        return [Finding("keys", "ok", f"{known.count} from the {known.source}")]
    if installed_version("bentoml") is None:
        return [Finding("keys", "ok", "none, and the service is not installed here")]
    fix = "`lifecycle key new` makes one and shows it once; so does `lifecycle serve`."
    return [Finding("keys", "warning", "none yet", fix)]


CHECKS: dict[str, Callable[[float], list[Finding]]] = {
    "libraries": lambda _: check_versions(),
    "home": _check_home,
    "disk": _check_disk,
    "leftovers": _check_leftovers,
    "release": _check_release,
    "release versions": _check_release_details,
    "scores": _check_scores,
    "keys": _check_keys,
}
