"""The findings of `lifecycle doctor`: one per thing, with its state and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from features.core.errors import LifecycleError
from features.core.language import say, term

STATES = ("ok", "warning", "failed")


@dataclass(frozen=True)
class Finding:
    """The `name` of the thing, its `state` (one of STATES), what was `observed`, and the `fix`.

    `fix` is empty exactly where the state is ok; ValueError otherwise.
    """

    name: str
    state: str
    observed: str
    fix: str = ""

    def __post_init__(self) -> None:
        if self.state not in STATES or (self.state == "ok") is bool(self.fix):
            raise ValueError(
                f"a finding is one of {STATES}, and has a fix unless it is ok; got {self}"
            )


def worst_state(findings: Iterable[Finding]) -> str:
    """The worst state of all findings; `ok` if there are none."""
    return max((finding.state for finding in findings), key=STATES.index, default="ok")


def findings_text(findings: Sequence[Finding]) -> str:
    """One line per finding, its fix below, and a last line that counts the states."""
    width = max((len(finding.name) for finding in findings), default=0)
    lines = []
    for finding in findings:
        lines.append(f"  {_state(finding.state)} {finding.name:<{width}}  {finding.observed}")
        if finding.fix:
            fix = say("do: {fix}", fix=finding.fix)
            lines.append(f"  {'':<8} {'':<{width}}  {fix}")
    counts = [sum(finding.state == state for finding in findings) for state in STATES]
    last = say(
        "  {ok} ok, {warnings} warnings, {failed} failed",
        ok=counts[0],
        warnings=counts[1],
        failed=counts[2],
    )
    return "\n".join([*lines, "", last])


def _state(state: str) -> str:
    text = term(state)
    return text + " " * (8 - cell_len(text))


def run_check(name: str, check: Callable[[], list[Finding]]) -> list[Finding]:
    """The findings of `check`; an exception becomes a finding.

    The doctor is used when things are broken: a check that fails must not hide the others.
    """
    try:
        return check()
    except LifecycleError as error:
        return [Finding(name, "failed", error.got, error.fix)]
    except OSError as error:
        observed = f"could not be read: {error.strerror or type(error).__name__}"
        fix = "Give this user the right to read LIFECYCLE_HOME."
        return [Finding(name, "failed", observed, fix)]
    except Exception as error:
        observed = f"internal error: {type(error).__name__}"
        return [Finding(name, "failed", observed, "Please report it, with this line.")]
