"""Write requirements-serve.txt: the pins of requirements.txt that the service needs, on Linux.

The images install it (Dockerfile, bentofile.yaml): neither MLflow nor Optuna. What depends on what
is read from the installed packages, so it is written, and with `--check` compared, only on what the
images have: Linux and Python 3.11. `--check` fails if the file is stale.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "requirements-serve.txt"


def needed_names(texts: Iterable[str]) -> set[str]:
    """The names of these requirements and of all that they need here, with their extras."""
    todo = [Requirement(text) for text in texts]
    seen: set[tuple[str, str]] = set()
    while todo:
        requirement = todo.pop()
        for extra in ("", *requirement.extras):
            name = canonicalize_name(requirement.name)
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            todo += [each for each in installed_needs(name) if _applies(each, extra)]
    return {name for name, _ in seen}


def installed_needs(name: str) -> list[Requirement]:
    """What an installed package says that it needs; nothing for one that is not installed."""
    try:
        return [Requirement(text) for text in requires(name) or []]
    except PackageNotFoundError:
        return []


def _applies(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def service_pins() -> list[str]:
    """The lines of requirements.txt whose packages the service needs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    own = [*project["dependencies"], *project["optional-dependencies"]["serve"]]
    names = needed_names(text for text in own if _applies(Requirement(text), ""))
    pins = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if "==" in line]
    return [
        str(pin)
        for pin in map(Requirement, pins)
        if canonicalize_name(pin.name) in names and _applies(pin, "")
    ]


def main(arguments: list[str]) -> int:
    """Write the file, or with --check compare; 1 where it is stale."""
    if (sys.platform, *sys.version_info[:2]) != ("linux", 3, 11):
        print(f"{FILE.name}: only on Linux with Python 3.11")
        return 0 if "--check" in arguments else 1
    text = "\n".join(service_pins()) + "\n"
    if "--check" not in arguments:
        FILE.write_text(text)
        return 0
    if FILE.is_file() and FILE.read_text() == text:
        return 0
    print(f"{FILE.name} is stale: python scripts/serve_requirements.py")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
