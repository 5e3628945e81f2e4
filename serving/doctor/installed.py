"""The installed versions against what the package's own metadata requires. Imports no library."""

from __future__ import annotations

import platform
import shlex
from importlib.metadata import PackageNotFoundError, metadata, requires, version

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from serving.doctor.findings import Finding

DISTRIBUTION = "customer-lifecycle"


def check_versions() -> list[Finding]:
    """Findings on Python, the libraries, each installed extra, and XGBoost installed twice."""
    try:
        requirements = [Requirement(line) for line in requires(DISTRIBUTION) or []]
        about = metadata(DISTRIBUTION)
    except PackageNotFoundError:
        observed = f"{DISTRIBUTION} is not installed, so the versions it needs are not known"
        fix = "Install it from its folder: `pip install -e .`"
        return [Finding("libraries", "warning", observed, fix)]
    # The metadata is the one place that names what is required; a copy here would grow stale.
    extras = about.get_all("Provides-Extra") or []
    return [
        _check_python(about["Requires-Python"] or ""),
        _check_libraries(requirements),
        *(finding for extra in extras for finding in _check_extra(extra, requirements)),
        *_check_xgboost(),
    ]


def _check_python(required: str) -> Finding:
    running = platform.python_version()
    observed = f"{running} (required: {required})"
    if SpecifierSet(required).contains(running, prereleases=True):
        return Finding("python", "ok", observed)
    fix = f"Create a new environment with Python {required}."
    return Finding("python", "failed", observed, fix)


def _check_libraries(requirements: list[Requirement]) -> Finding:
    needed = [
        each for each in requirements if each.marker is None or each.marker.evaluate({"extra": ""})
    ]
    wrong = [each for each in needed if not _is_satisfied(each)]
    if not wrong:
        return Finding("libraries", "ok", f"all {len(needed)} as required")
    return Finding("libraries", "failed", "; ".join(map(_describe, wrong)), _install_fix(wrong))


def _check_extra(extra: str, requirements: list[Requirement]) -> list[Finding]:
    """No finding for an extra most of whose packages are absent: it was not installed."""
    needed = [each for each in requirements if _is_only_of_extra(each, extra)]
    present = [each for each in needed if installed_version(each.name)]
    wrong = [each for each in needed if not _is_satisfied(each)]
    if not needed or 2 * len(present) < len(needed):
        return []
    if not wrong:
        return [Finding(f"extra {extra}", "ok", f"all {len(needed)} as required")]
    # Absent packages can be meant so; wrong versions cannot.
    absent = all(installed_version(each.name) is None for each in wrong)
    state = "warning" if absent else "failed"
    observed = "; ".join(map(_describe, wrong))
    return [Finding(f"extra {extra}", state, observed, _install_fix(wrong))]


def _is_only_of_extra(requirement: Requirement, extra: str) -> bool:
    if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
        return False
    return requirement.marker.evaluate({"extra": extra})


def _is_satisfied(requirement: Requirement) -> bool:
    present = installed_version(requirement.name)
    return present is not None and requirement.specifier.contains(present, prereleases=True)


def _describe(requirement: Requirement) -> str:
    present = installed_version(requirement.name)
    if present is None:
        return f"{requirement.name} is missing"
    return f"{requirement.name} {present} (required: {requirement.specifier})"


def _install_fix(wrong: list[Requirement]) -> str:
    return f"`pip install {shlex.join(f'{each.name}{each.specifier}' for each in wrong)}`"


def installed_version(name: str) -> str | None:
    """The version of a distribution, or None where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _check_xgboost() -> list[Finding]:
    """A finding where both builds are installed.

    They write the same folder: to remove one breaks the other, and which one runs is chance.
    """
    builds = {
        name: present for name in ("xgboost", "xgboost-cpu") if (present := installed_version(name))
    }
    if len(builds) < 2:
        return []
    # PyPI has no CPU-only build for macOS.
    wanted = "xgboost" if platform.system() == "Darwin" else "xgboost-cpu"
    names = " and ".join(f"{name} {present}" for name, present in builds.items())
    fix = f"`pip uninstall -y xgboost xgboost-cpu`, then `pip install {wanted}`"
    return [Finding("xgboost", "warning", f"{names} write the same files", fix)]
