"""Everything that can go wrong, as one tree; each leaf has an exit code and an HTTP status.

    LifecycleError
    ├── UsageError                     2 · 400   the command or the configuration is off
    │   ├── UnknownKey                           a key nobody knows (with a suggestion)
    │   ├── BadSetting                           a value outside its rule
    │   └── SelectRefused                        a table's SELECT that is not one plain SELECT
    ├── InputRefused                   3 · 422   the caller can fix it: the data, or the question asked of it
    │   ├── FileMissing
    │   ├── QueryFailed
    │   ├── ColumnMissing
    │   ├── WrongType
    │   ├── NaiveTime
    │   ├── EmptyTable
    │   ├── DuplicateCustomers
    │   ├── ContradictoryVersions
    │   ├── AsOfTooLate
    │   ├── Timeless                             a table that says nothing of when
    │   ├── ImmatureWindow
    │   ├── NotEnoughData
    │   └── ArchetypeRefused
    ├── RequestRefused                 3 · 422   a request to the service that it will not answer
    │   ├── KeyMissing                   3 · 401   no key, or not one of ours
    │   ├── NotHere                      3 · 404   no such page, or no such customer
    │   ├── MethodRefused                3 · 405
    │   ├── BodyTooLarge                 3 · 413
    │   ├── NotJson                      3 · 415   another media type than application/json
    │   └── Malformed                    3 · 422   a field outside its rule
    ├── ReleaseRefused                 1 · 503   a release that does not verify, or does not fit
    ├── PromotionRefused               1 · 503   a release without skill, or worse than the one that is served
    ├── StoreFailed                    4 · 503   a store that cannot be reached, or is full
    └── Interrupted                    5 · 503   stopped safely; run it again and it goes on

An error says where, what was got, the rule, and what to do. It has two audiences, and one renderer each: the
owner at the command line may see up to three offending values; everybody else sees counts only.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

SHOWN_VALUES = 3


class LifecycleError(Exception):
    """`where` it happened, what was `got`, the `rule`, how to `fix` it, and `values` for the owner's eyes only."""

    exit_code = 1
    status = 500

    def __init__(
        self, *, where: str, got: str, rule: str, fix: str, values: Iterable[object] = ()
    ) -> None:
        self.where, self.got, self.rule, self.fix = where, got, rule, fix
        self.values = tuple(str(value)[:60] for value in values)[:SHOWN_VALUES]
        super().__init__(f"{where}: {got}. {rule} {fix}")


class UsageError(LifecycleError):
    exit_code, status = 2, 400


class UnknownKey(UsageError):
    pass


class BadSetting(UsageError):
    pass


class SelectRefused(UsageError):
    pass


class InputRefused(LifecycleError):
    exit_code, status = 3, 422


class FileMissing(InputRefused):
    pass


class QueryFailed(InputRefused):
    pass


class ColumnMissing(InputRefused):
    pass


class WrongType(InputRefused):
    pass


class NaiveTime(InputRefused):
    pass


class EmptyTable(InputRefused):
    pass


class DuplicateCustomers(InputRefused):
    pass


class ContradictoryVersions(InputRefused):
    pass


class AsOfTooLate(InputRefused):
    pass


class Timeless(InputRefused):
    pass


class ImmatureWindow(InputRefused):
    pass


class NotEnoughData(InputRefused):
    pass


class ArchetypeRefused(InputRefused):
    pass


class RequestRefused(LifecycleError):
    exit_code, status = 3, 422


class KeyMissing(RequestRefused):
    status = 401


class NotHere(RequestRefused):
    status = 404


class MethodRefused(RequestRefused):
    status = 405


class BodyTooLarge(RequestRefused):
    status = 413


class NotJson(RequestRefused):
    status = 415


class Malformed(RequestRefused):
    pass


class ReleaseRefused(LifecycleError):
    exit_code, status = 1, 503


class PromotionRefused(LifecycleError):
    exit_code, status = 1, 503


class StoreFailed(LifecycleError):
    exit_code, status = 4, 503


class Interrupted(LifecycleError):
    exit_code, status = 5, 503


def for_owner(error: LifecycleError) -> str:
    """The error for the owner at the command line: four lines, with up to three offending values."""
    shown = f" ({', '.join(repr(value) for value in error.values)})" if error.values else ""
    return f"error in {error.where}\n  got:  {error.got}{shown}\n  rule: {error.rule}\n  do:   {error.fix}"


def for_others(error: LifecycleError) -> dict[str, str]:
    """The error for HTTP, logs, metrics and MLflow: where and which rule, never a value."""
    return {
        "error": type(error).__name__,
        "where": error.where,
        "rule": error.rule,
        "do": error.fix,
    }


def suggestion(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str:
    """`did you mean 'x'?` when a known name is near (0 … 1, difflib's ratio), else nothing."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return f"did you mean '{near[0]}'?" if near else ""
