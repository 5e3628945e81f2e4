"""What is installed, against what the package's own metadata asks for. Imports none of it."""

from __future__ import annotations

import platform
import shlex
from importlib.metadata import PackageNotFoundError, metadata, requires, version

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from serving.doctor.findings import Finding

OURS = "customer-lifecycle"


def versions() -> list[Finding]:
    """Python, the libraries, each extra that is installed, and two builds of XGBoost in each other's way."""
    try:
        asked = [Requirement(line) for line in requires(OURS) or []]
        about = metadata(OURS)
    except PackageNotFoundError:
        return [
            Finding(
                "libraries",
                "warning",
                f"{OURS} is not installed, so its floors are not known",
                "Install it where it lies: `pip install -e .`",
            )
        ]
    extras = about.get_all("Provides-Extra") or []
    parts = [found for extra in extras for found in _extra(extra, asked)]
    return [_python(about["Requires-Python"] or ""), _libraries(asked), *parts, *_two_builds()]


def _python(floor: str) -> Finding:
    running = platform.python_version()
    if SpecifierSet(floor).contains(running, prereleases=True):
        return Finding("python", "ok", f"{running} (asked: {floor})")
    return Finding(
        "python",
        "failed",
        f"{running} (asked: {floor})",
        f"Make the environment anew with Python {floor}.",
    )


def _libraries(asked: list[Requirement]) -> Finding:
    needed = [one for one in asked if one.marker is None or one.marker.evaluate({"extra": ""})]
    wrong = [one for one in needed if not _fits(one)]
    if not wrong:
        return Finding("libraries", "ok", f"all {len(needed)} as asked")
    return Finding("libraries", "failed", "; ".join(map(_told, wrong)), _install(wrong))


def _extra(extra: str, asked: list[Requirement]) -> list[Finding]:
    """Nothing to say about an extra whose packages are mostly absent: it was not asked for."""
    needed = [one for one in asked if _belongs(one, extra)]
    there = [one for one in needed if installed(one.name)]
    wrong = [one for one in needed if not _fits(one)]
    if not needed or 2 * len(there) < len(needed):
        return []
    if not wrong:
        return [Finding(f"extra {extra}", "ok", f"all {len(needed)} as asked")]
    absent = all(installed(one.name) is None for one in wrong)
    return [
        Finding(
            f"extra {extra}",
            "warning" if absent else "failed",
            "; ".join(map(_told, wrong)),
            _install(wrong),
        )
    ]


def _belongs(one: Requirement, extra: str) -> bool:
    if one.marker is None or one.marker.evaluate({"extra": ""}):
        return False
    return one.marker.evaluate({"extra": extra})


def _fits(one: Requirement) -> bool:
    there = installed(one.name)
    return there is not None and one.specifier.contains(there, prereleases=True)


def _told(one: Requirement) -> str:
    there = installed(one.name)
    return (
        f"{one.name} is missing"
        if there is None
        else f"{one.name} {there} (asked: {one.specifier})"
    )


def _install(wrong: list[Requirement]) -> str:
    return f"`pip install {shlex.join(f'{one.name}{one.specifier}' for one in wrong)}`"


def installed(name: str) -> str | None:
    """The version of a distribution, or None where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _two_builds() -> list[Finding]:
    """Both builds write the same folder: removing one breaks the other, and which one runs is chance."""
    both = {name: there for name in ("xgboost", "xgboost-cpu") if (there := installed(name))}
    if len(both) < 2:
        return []
    wanted = "xgboost" if platform.system() == "Darwin" else "xgboost-cpu"
    found = (
        " and ".join(f"{name} {there}" for name, there in both.items()) + " write the same files"
    )
    return [
        Finding(
            "xgboost",
            "warning",
            found,
            f"`pip uninstall -y xgboost xgboost-cpu`, then `pip install {wanted}`",
        )
    ]
