"""What kubectl prints of fields and kinds that are stored and not acted on, and of fields that nobody knows."""

from tests.clients.conftest import Kubectl

MANIFEST = """\
apiVersion: v1
kind: Pod
metadata:
  name: web
spec:
  activeDeadlineSeconds: 60
  containers:
  - name: main
    image: app:v1
  volumes:
  - name: data
    nfs: {server: nas, path: /}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: closed
spec:
  podSelector: {}
"""


async def test_apply_prints_what_is_not_acted_on(kubectl: Kubectl) -> None:
    for arguments in (("apply", "-f", "-"), ("apply", "--server-side", "--force-conflicts", "-f", "-")):
        ran = await kubectl.run(*arguments, stdin=MANIFEST)
        assert ran.code == 0, ran
        warned = [line for line in ran.err.splitlines() if "not acted on" in line]
        assert warned == [
            "Warning: spec.activeDeadlineSeconds: stored, but not acted on: the pod isn't ended after this time",
            "Warning: spec.volumes[0].nfs: stored, but not acted on: volumes of this type aren't mounted, so the pod won't start",
            "Warning: NetworkPolicy: stored, but not acted on: nothing enforces it: every pod may reach every other",
        ]


async def test_an_ordinary_manifest_is_applied_without_a_word(kubectl: Kubectl) -> None:
    plain = (
        MANIFEST.partition("---")[0].replace("  activeDeadlineSeconds: 60\n", "").partition("  volumes:")[0]
    )
    assert await kubectl("apply", "-f", "-", stdin=plain) == "pod/web created\n"


async def test_unknown_fields_are_refused_or_told_as_asked(kubectl: Kubectl) -> None:
    wrong = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndate: {x: y}\n"
    ran = await kubectl.run("apply", "--validate=strict", "-f", "-", stdin=wrong)
    assert (ran.code, 'unknown field "date"' in ran.err) == (1, True)
    ran = await kubectl.run("apply", "--validate=warn", "-f", "-", stdin=wrong)
    assert (ran.code, ran.err) == (0, 'Warning: unknown field "date"\n')
    assert await kubectl("apply", "--validate=ignore", "-f", "-", stdin=wrong) == "configmap/a configured\n"
