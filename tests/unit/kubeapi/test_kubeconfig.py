import base64
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from pinnace.base.errors import UserError
from pinnace.kubeapi.kubeconfig import build_kubeconfig, merge_into, remove_context, write_kubeconfig
from pinnace.kubeapi.pki import Certificates, Credential

CERTIFICATES = Certificates(b"CA", Credential(b"CERT", b"KEY"), Path("ca.crt"), Path("server.pem"))
SERVER = "https://127.0.0.1:6443"

OTHERS = """\
apiVersion: v1
kind: Config
current-context: prod
clusters:
- {name: prod, cluster: {server: "https://prod:443"}}
contexts:
- {name: prod, context: {cluster: prod, user: me}}
users:
- {name: me, user: {token: secret}}
preferences: {colors: true}
"""


def ours(name: str = "pinnace", server: str = SERVER) -> dict[str, Any]:
    return build_kubeconfig(name, server, CERTIFICATES)


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def test_kubeconfig_carries_the_certificates_inside() -> None:
    user = ours()["users"][0]["user"]
    assert base64.b64decode(user["client-certificate-data"]) == b"CERT"
    assert base64.b64decode(user["client-key-data"]) == b"KEY"


def test_first_kubeconfig_becomes_current_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / ".kube" / "config"
    merge = merge_into(path, ours())
    assert (merge.became_current, merge.current_context) == (True, "pinnace")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read(path) == ours()


def test_somebodys_current_context_stays_and_is_named(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(OTHERS)
    path.chmod(0o640)
    merge = merge_into(path, ours())
    merged = read(path)
    assert merged["current-context"] == "prod"
    assert [entry["name"] for entry in merged["contexts"]] == ["prod", "pinnace"]
    assert merged["users"][0] == {"name": "me", "user": {"token": "secret"}}
    assert merged["preferences"] == {"colors": True}
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert merge.describe() == (
        f"context 'pinnace' is in {path}; the current one stays 'prod' "
        "(change it with: kubectl config use-context pinnace)"
    )


def test_merging_again_replaces_our_entries_only(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(OTHERS)
    merge_into(path, ours())
    merge_into(path, ours(server="https://127.0.0.1:7443"))
    merged = read(path)
    assert [entry["cluster"]["server"] for entry in merged["clusters"]] == [
        "https://prod:443",
        "https://127.0.0.1:7443",
    ]
    assert merge_into(path, ours(server="https://127.0.0.1:7443")).written is False


def test_the_namespace_set_on_our_context_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "config"
    document = ours()
    document["contexts"][0]["context"]["namespace"] = "team"
    path.write_text(yaml.safe_dump(document))
    merge_into(path, ours(server="https://127.0.0.1:7443"))
    assert read(path)["contexts"][0]["context"] == {
        "cluster": "pinnace",
        "user": "pinnace",
        "namespace": "team",
    }


def test_our_own_file_keeps_what_a_person_has_chosen_in_it(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    write_kubeconfig(path, ours())
    document = read(path)
    document["contexts"][0]["context"]["namespace"] = "team"
    document["users"].append({"name": "bot", "user": {"token": "secret"}})
    document["contexts"].append({"name": "bot", "context": {"cluster": "pinnace", "user": "bot"}})
    document["current-context"] = "bot"
    path.write_text(yaml.safe_dump(document))
    write_kubeconfig(path, ours(server="https://127.0.0.1:7443"))
    written = read(path)
    assert written["current-context"] == "bot"
    assert written["contexts"][0]["context"]["namespace"] == "team"
    assert [entry["name"] for entry in written["users"]] == ["pinnace", "bot"]
    assert written["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:7443"


@pytest.mark.parametrize("content", [OTHERS, "{[", "kind: Pod\n"])
def test_our_own_file_always_leads_to_this_cluster(tmp_path: Path, content: str) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(content)
    write_kubeconfig(path, ours())
    assert read(path)["current-context"] == "pinnace"


@pytest.mark.parametrize("content", ["{[", "- a\n- b\n", "kind: Pod\n", "clusters: 7\n", "contexts: [1]\n"])
def test_what_is_no_kubeconfig_is_left_as_it_is(tmp_path: Path, content: str) -> None:
    path = tmp_path / "config"
    path.write_text(content)
    with pytest.raises(UserError, match="can't add a context"):
        merge_into(path, ours())
    assert path.read_text() == content


def test_a_link_to_a_kubeconfig_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_text(OTHERS)
    (tmp_path / "config").symlink_to(tmp_path / "real")
    merge_into(tmp_path / "config", ours())
    assert (tmp_path / "config").is_symlink()
    assert len(read(tmp_path / "real")["contexts"]) == 2


def test_removing_a_context_leaves_the_others(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(OTHERS)
    merge_into(path, ours())
    assert remove_context(path, "pinnace") is True
    assert read(path) == yaml.safe_load(OTHERS)
    assert remove_context(path, "pinnace") is False


def test_removing_from_a_missing_kubeconfig_makes_none(tmp_path: Path) -> None:
    assert remove_context(tmp_path / "config", "pinnace") is False
    assert not (tmp_path / "config").exists()
