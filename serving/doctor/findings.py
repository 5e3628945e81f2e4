"""What `lifecycle doctor` found: one finding a thing, its state, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from features.core.errors import LifecycleError

STATES = ("ok", "warning", "failed")


@dataclass(frozen=True)
class Finding:
    """`name` of the thing, its `state` (one of STATES), what was `found`, and the `fix`, empty exactly where ok."""

    name: str
    state: str
    found: str
    fix: str = ""

    def __post_init__(self) -> None:
        if self.state not in STATES or (self.state == "ok") is bool(self.fix):
            raise ValueError(
                f"a finding is one of {STATES}, and has a fix unless it is ok; got {self}"
            )


def worst(findings: Iterable[Finding]) -> str:
    """The worst state of all; `ok` of none."""
    return max((finding.state for finding in findings), key=STATES.index, default="ok")


def text(findings: Sequence[Finding]) -> str:
    """One line a finding, its fix beneath, and a last line that counts the states."""
    width = max((len(finding.name) for finding in findings), default=0)
    lines = []
    for finding in findings:
        lines.append(f"  {finding.state:<8} {finding.name:<{width}}  {finding.found}")
        if finding.fix:
            lines.append(f"  {'':<8} {'':<{width}}  do: {finding.fix}")
    counts = [sum(finding.state == state for finding in findings) for state in STATES]
    return "\n".join([*lines, "", f"  {counts[0]} ok, {counts[1]} warnings, {counts[2]} failed"])


def guarded(name: str, check: Callable[[], list[Finding]]) -> list[Finding]:
    """What `check` finds. The doctor is called when things are broken: one that breaks a check hides no other."""
    try:
        return check()
    except LifecycleError as error:
        return [Finding(name, "failed", error.got, error.fix)]
    except OSError as error:
        why = error.strerror or type(error).__name__
        return [
            Finding(
                name,
                "failed",
                f"could not be read: {why}",
                "Give this user the right to read LIFECYCLE_HOME.",
            )
        ]
    except Exception as error:
        return [
            Finding(
                name,
                "failed",
                f"an error of ours: {type(error).__name__}",
                "Please report it, with this line.",
            )
        ]
