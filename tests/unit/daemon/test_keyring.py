"""The credentials of the person whom the instance serves, with real (small) helpers."""

import json
import os
import pwd
from pathlib import Path

import pytest

from pinnace.base.credentials import HUB_SERVER, Credential
from pinnace.base.person import Person, docker_config_of, find_person
from pinnace.daemon.keyring import PersonKeyring

HELPER = """#!/bin/sh
read -r server
echo '{{"ServerURL": "x", "Username": "'$(id -un)'", "Secret": "'$server $HOME'"}}'
"""


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    for parent in (folder, tmp_path, tmp_path.parent, tmp_path.parent.parent):
        parent.chmod(parent.stat().st_mode | 0o055)  # the helper is another user's program here
    program = folder / "docker-credential-test"
    program.write_text(HELPER.format())
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return tmp_path


def keyring(tmp_path: Path, document: object, person: Person | None = None) -> PersonKeyring:
    path = tmp_path / "config.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return PersonKeyring(person or Person(tmp_path), path)


async def test_the_file_is_read_anew_each_time(tmp_path: Path) -> None:
    one = PersonKeyring(Person(tmp_path), tmp_path / "config.json")
    assert await one.find("ghcr.io") is None
    keyring(tmp_path, {"auths": {"https://ghcr.io/v2/": {"auth": "YTpi"}}})
    assert await one.find("ghcr.io") == Credential("a", "b")
    assert await one.find_store("ghcr.io") == {"https://ghcr.io/v2/": Credential("a", "b")}


async def test_helpers_are_asked_for_what_is_wanted_and_nothing_else(helper: Path) -> None:
    document = {"credHelpers": {HUB_SERVER: "test"}, "auths": {"ghcr.io": {"auth": "YTpi"}}}
    one = keyring(helper, document)
    found = await one.find("docker.io")
    assert found is not None and found.password.startswith(HUB_SERVER)
    assert set(await one.find_store("docker.io")) == {"ghcr.io", HUB_SERVER}
    assert set(await one.find_store("ghcr.io")) == {"ghcr.io"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
async def test_helpers_run_as_the_person(helper: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    person = Person(Path("/home/of-nobody"), (nobody.pw_uid, nobody.pw_gid))
    found = await keyring(helper, {"credsStore": "test"}, person).find("ghcr.io")
    assert found == Credential("nobody", "ghcr.io /home/of-nobody")


@pytest.mark.parametrize("document", ["{", {"credsStore": "absent"}, {"auths": {"ghcr.io": {"auth": "?"}}}])
async def test_what_cannot_be_read_counts_as_nothing_and_is_logged(
    tmp_path: Path, document: object, caplog: pytest.LogCaptureFixture
) -> None:
    one = keyring(tmp_path, document)
    assert await one.find("ghcr.io") is None
    assert not await one.find_store("ghcr.io")
    assert "credentials" in caplog.text


def test_the_file_is_the_invoking_users(tmp_path: Path) -> None:
    assert docker_config_of(Person(tmp_path), {}) == tmp_path / ".docker" / "config.json"
    assert docker_config_of(Person(tmp_path), {"DOCKER_CONFIG": "/etc/x"}) == Path("/etc/x/config.json")
    assert find_person({"HOME": "/home/ada"}) == Person(Path("/home/ada"))
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        found = find_person({"SUDO_UID": str(nobody.pw_uid), "SUDO_GID": "7", "HOME": "/root"})
        assert found == Person(Path(nobody.pw_dir), (nobody.pw_uid, 7))
