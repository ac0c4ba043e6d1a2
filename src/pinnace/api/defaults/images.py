"""Says when an image is pulled. Pure. Source: Kubernetes v1.36, pkg/apis/core/v1/defaults.go, SetDefaults_Container."""


def compute_pull_policy(image: str) -> str:
    """Return "Always" for an image whose tag is latest, or missing, and "IfNotPresent" for all others.

    Example: nginx → Always; nginx:1.27 → IfNotPresent; host:5000/nginx → Always; nginx@sha256:… → IfNotPresent.
    """
    name, _, digest = image.partition("@")
    last = name.rpartition("/")[2]
    tag = last.partition(":")[2]
    if tag == "latest" or not (tag or digest):
        return "Always"
    return "IfNotPresent"
