"""`lifecycle key`: keys come and go while the service runs, and none is ever shown twice."""

from __future__ import annotations

import json
import os
import resource
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from starlette.testclient import TestClient

from features.core import folder_lock
from features.core.errors import BadSetting, StoreFailed
from serving.api import key_file, keys
from serving.api.middleware import COOKIE, RequestMiddleware
from serving.api.routes import make_app
from tests.support.checks import nonempty
from tests.support.command_line import lifecycle, run_here

OLD_FORM = {"keys": [{"sha256": key_file.hash_key("one")}, {"sha256": key_file.hash_key("two")}]}
DAMAGED = ("", "[]", "{}", '{"keys": [{"sha256": "abc"}]}', "[" * 100_000, "\x00")


@pytest.fixture(autouse=True)
def no_configured_keys(monkeypatch):
    monkeypatch.delenv("LIFECYCLE_API_KEYS", raising=False)


@pytest.fixture
def client(shop_service, home, monkeypatch):
    """The service's pages behind its middleware, with the keys of this home; every request looks
    at the file.
    """
    monkeypatch.setattr(keys, "LOOK_SECONDS", 0)
    app = RequestMiddleware(make_app(lambda: shop_service.desk))
    return TestClient(app, follow_redirects=False)


def status(client, key):
    return client.get("/v1/model", headers={"authorization": f"Bearer {key}"}).status_code


def said(*arguments, **environment):
    """The JSON answer of a command that ended well."""
    done = run_here("key", *arguments, "--json", **environment)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_a_running_service_follows_the_commands(client):
    assert status(client, "anything") == 401
    first, second = said("new", "--name", "crm"), said("new")
    assert [status(client, one["key"]) for one in (first, second)] == [200, 200]
    assert said("revoke", "crm") == {"remaining": 1} | {
        name: first[name] for name in ("id", "name", "created")
    }
    assert [status(client, one["key"]) for one in (first, second)] == [401, 200]
    assert said("revoke", second["id"])["remaining"] == 0
    assert status(client, second["key"]) == 401


def test_a_login_ends_with_the_key_it_was_made_with_and_with_no_other(client):
    first, second = said("new"), said("new")
    sessions = []
    for one in (first, second):
        answer = client.post("/login", data={"key": one["key"]})
        assert answer.status_code == 303
        sessions.append(answer.cookies[COOKIE])
        client.cookies.clear()

    def opened():
        headers = [{"cookie": f"{COOKIE}={session}"} for session in sessions]
        return [client.get("/", headers=each).status_code for each in headers]

    assert opened() == [200, 200]
    said("revoke", first["id"])
    assert opened() == [401, 200]


@pytest.mark.parametrize("text", DAMAGED)
def test_a_file_that_is_damaged_while_the_service_runs_changes_nothing(client, home, text, caplog):
    key = said("new")["key"]
    assert status(client, key) == 200
    (home / key_file.FILE).write_text(text)
    assert [status(client, key), status(client, key), status(client, "x")] == [200, 200, 401]
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == [
        "the key file cannot be read: the former 1 are accepted"
    ]
    (home / key_file.FILE).unlink()
    assert status(client, key) == 401


def test_a_list_that_somebody_emptied_by_hand_opens_nothing(client, home):
    key = said("new")["key"]
    assert status(client, key) == 200
    (home / key_file.FILE).write_text('{"keys": []}')
    (home / key_file.FILE).chmod(0o644)
    assert status(client, key) == 401


def test_the_list_shows_no_key_and_no_hash(home):
    made = [said("new", "--name", "nächtlich"), said("new")]
    listed = said("list")["keys"]
    assert listed == [
        {**{name: one[name] for name in ("id", "name", "created")}, "source": "file"}
        | {"accepted": True}
        for one in made
    ]
    plain = run_here("key", "list").stdout
    assert [line.split() for line in plain.splitlines()] == [
        [made[0]["id"], "made", "on", made[0]["created"], "nächtlich"],
        [made[1]["id"], "made", "on", made[1]["created"]],
    ]
    text = (home / key_file.FILE).read_text()
    for one in nonempty(made):
        digest = key_file.hash_key(one["key"])
        assert digest.startswith(one["id"])
        assert one["key"] not in text + plain
        assert digest in text
        assert digest not in plain + json.dumps(listed)


def test_a_file_of_before_names_and_days_is_read_and_added_to(home):
    (home / key_file.FILE).write_text(json.dumps(OLD_FORM))
    assert keys.load_keys().accepts("two")
    assert "made before days were recorded" in run_here("key", "list").stdout
    new = said("new")
    assert said("revoke", key_file.hash_key("one")[:8])["remaining"] == 2
    known = keys.load_keys()
    assert [known.accepts(key) for key in ("one", "two", new["key"])] == [False, True, True]


def test_keys_of_the_environment_are_listed_as_such_and_stay():
    said("new", "--name", "file")
    own = {"LIFECYCLE_API_KEYS": "first, second"}
    listed = said("list", **own)["keys"]
    assert [(one["source"], one["accepted"]) for one in listed] == [
        ("environment", True),
        ("environment", True),
        ("file", False),
    ]
    done = run_here("key", "revoke", listed[0]["id"], **own)
    assert (done.returncode, done.stdout) == (2, "")
    assert "a key of LIFECYCLE_API_KEYS" in done.stderr
    assert "start the service again" in done.stderr
    assert "none of keys.json" in run_here("key", "new", **own).stdout


@pytest.mark.parametrize("name", ["", " ", "two words", "-x", "0123abcd", "a" * 33, "a\nb", "_"])
def test_a_name_is_short_plain_and_no_id(home, name):
    with pytest.raises(BadSetting, match="A name is 1 to 32"):
        key_file.make_key(name)
    assert not (home / key_file.FILE).exists()


def test_a_name_is_given_once_and_free_again_after_its_key():
    key_file.make_key("crm")
    with pytest.raises(BadSetting, match="lifecycle key revoke crm"):
        key_file.make_key("crm")
    key_file.revoke_key("crm")
    key_file.make_key("crm")


def test_who_types_a_whole_key_does_not_read_it_again():
    key = said("new")["key"]
    done = run_here("key", "revoke", key)
    assert done.returncode == 2
    assert "lifecycle key list" in done.stderr
    assert key not in done.stderr


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_file_is_never_replaced_by_a_command(home, text):
    path = home / key_file.FILE
    path.write_text(text)
    for command in (["new"], ["list"], ["revoke", "crm"]):
        done = run_here("key", *command)
        assert (done.returncode, done.stdout) == (4, "")
        assert f"mv {path} {path}.damaged && lifecycle key new" in done.stderr
        assert path.read_text() == text


def test_rights_of_others_are_said_and_a_change_closes_them(home):
    said("new")
    path = home / key_file.FILE
    path.chmod(0o644)
    assert "chmod 600" in run_here("key", "list").stdout
    said("new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "chmod" not in run_here("key", "list").stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
def test_a_file_that_root_writes_belongs_to_the_owner_of_the_home(home):
    os.chown(home, 65534, 65534)
    key_file.make_key()
    status_now = (home / key_file.FILE).stat()
    assert (status_now.st_uid, stat.S_IMODE(status_now.st_mode)) == (65534, 0o600)


def test_commands_at_once_lose_no_key():
    with ThreadPoolExecutor(8) as commands:
        made = list(commands.map(lambda _: key_file.make_key().text, range(24)))
    known = keys.load_keys()
    assert known.count == 24
    assert all(known.accepts(key) for key in made)


def test_a_command_that_waits_too_long_says_why(home, monkeypatch):
    monkeypatch.setattr(folder_lock, "LOCK_WAIT_SECONDS", 0)
    with (
        folder_lock.lock_folder(home, "key", by_file=False),
        pytest.raises(StoreFailed, match="One `lifecycle key` at a time"),
    ):
        key_file.make_key()
    key_file.make_key()


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_command_that_is_killed_while_it_writes_leaves_the_former_keys(home, tmp_path, call):
    key = key_file.make_key("crm").text
    (tmp_path / "sitecustomize.py").write_text(
        f"import os, signal\nos.{call} = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = lifecycle("key", "revoke", "crm", PYTHONPATH=str(tmp_path))
    assert killed.returncode == -9
    assert keys.load_keys().accepts(key)
    assert said("revoke", "crm")["remaining"] == 0


def test_a_full_disk_leaves_the_former_keys_and_is_said(home):
    key = key_file.make_key().text
    done = subprocess.run(
        [sys.executable, "-m", "lifecycle", "key", "new"],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert (done.returncode, done.stdout) == (4, "")
    assert "Free disk space" in done.stderr
    assert keys.load_keys().accepts(key)
    assert [path.name for path in home.iterdir()] == [key_file.FILE]
