"""`lifecycle key`: who may send requests to the service. A key is shown once, when it is new."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lifecycle.cli.application import SERVE, AsJson, answer, app

if TYPE_CHECKING:
    from serving.api.key_file import StoredKey

keys = typer.Typer(no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)
app.add_typer(
    keys,
    name="key",
    help="Make, list and revoke the keys of the service; a running one follows within seconds.",
    rich_help_panel=SERVE,
)


@keys.command("new")
def make(
    name: Annotated[
        str | None, typer.Option(help="who or what it is for; no other key has this name")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and show it, this once."""
    from features.core.language import say
    from serving.api import key_file

    new = key_file.make_key(name)
    lines = [
        say("key {id} is shown this once: {key}", id=_label(new.stored), key=new.text),
        *_environment_lines(),
    ]
    answer({"key": new.text, **new.stored.details}, "\n".join(lines), as_json)


@keys.command("list")
def show(as_json: AsJson = False) -> None:
    """List id, name and day of every key."""
    from features.core.language import say
    from serving.api import key_file
    from serving.api.keys import load_keys

    stored, configured, known = key_file.stored_keys(), key_file.environment_keys(), load_keys()
    entries = [
        {**key.details, "source": source, "accepted": source == known.source}
        for source, group in (("environment", configured), ("file", stored))
        for key in group
    ]
    lines = [say("{id}  from LIFECYCLE_API_KEYS", id=key.id) for key in configured]
    lines += [
        say("{id}  made on {day}  {name}", id=key.id, day=key.day, name=key.name or "").rstrip()
        if key.day
        else say("{id}  made before days were recorded", id=key.id)
        for key in stored
    ]
    lines = lines or [say("no key yet; lifecycle key new makes one")]
    lines += _environment_lines() if stored else []
    if known.problem:
        path = key_file.key_path()
        lines.append(say("warning: others may read or write {path}; chmod 600 it", path=path))
    answer({"keys": entries, "problem": known.problem}, "\n".join(lines), as_json)


@keys.command("revoke")
def revoke(
    name: Annotated[str, typer.Argument(help="the name or the id of a key, as list shows it")],
    as_json: AsJson = False,
) -> None:
    """Refuse a key from now on, and end its logins."""
    from features.core.language import say
    from serving.api import key_file

    key, remaining = key_file.revoke_key(name)
    lines = [say("key {id} is revoked; a running service refuses it in seconds", id=_label(key))]
    if not remaining:
        lines.append(say("no key is left; lifecycle key new makes one"))
    lines += _environment_lines()
    answer({**key.details, "remaining": remaining}, "\n".join(lines), as_json)


def _label(key: StoredKey) -> str:
    return f"{key.id} ({key.name})" if key.name else key.id


def _environment_lines() -> list[str]:
    """Where LIFECYCLE_API_KEYS is set: that a service with it looks at no file."""
    from features.core.language import say
    from serving.api import key_file

    if not key_file.environment_keys():
        return []
    return [
        say(
            "warning: LIFECYCLE_API_KEYS is set; a service that starts with it accepts those keys, "
            "and none of {file}",
            file=key_file.FILE,
        )
    ]
