"""Fixtures that tests of more than one folder use; and the same ground for all tests, whatever shell they are run from."""

from __future__ import annotations

import contextlib
import os

from tests.product.fixtures import kubectl_binary, make_product, ns, own, product, root_tar

__all__ = ["kubectl_binary", "make_product", "ns", "own", "product", "root_tar"]

# What a person's shell, or a hook of git, may have set, and the product or git would heed.
for _name in (
    *("BUILDKIT_PROGRESS", "DOCKER_CONFIG", "NO_COLOR", "SOURCE_DATE_EPOCH", "SSH_AUTH_SOCK"),
    *("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE"),
):
    os.environ.pop(_name, None)
os.umask(0o022)  # files of build contexts have the modes that the tests expect

with contextlib.suppress(ImportError):
    from hypothesis import HealthCheck, settings

    # The normal run is the same each time, however slow the machine is; PINNACE_FUZZ=10 looks at new ground.
    settings.register_profile(
        "pinnace",
        deadline=None,
        derandomize=os.environ.get("PINNACE_FUZZ", "1") == "1",
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.load_profile("pinnace")
