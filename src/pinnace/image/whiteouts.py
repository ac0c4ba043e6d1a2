"""The two ways to say "deleted": ".wh." names in layer tars, devices and an attribute in overlayfs.

Pure. Source: OCI image-spec v1.1, layer.md ("Whiteouts"); Linux, filesystems/overlayfs.rst ("whiteouts and opaque
directories").
"""

from __future__ import annotations

import os
import stat

PREFIX = b".wh."
META_PREFIX = b".wh..wh."  # aufs' own bookkeeping; only the opaque mark means something in a layer
OPAQUE = b".wh..wh..opq"

OVERLAY_XATTRS = ("trusted.overlay.", "user.overlay.")
OPAQUE_XATTR = "trusted.overlay.opaque"
OPAQUE_VALUE = b"y"
DEVICE = os.makedev(0, 0)

# What an archive may set, and what is written into one: capabilities, access lists, and what programs keep for
# themselves. "trusted." would let an archive speak to overlayfs; "security.selinux" is the host's to say.
ALLOWED_XATTRS = ("security.capability", "system.posix_acl_access", "system.posix_acl_default")


def is_whiteout(state: os.stat_result) -> bool:
    """Say whether overlayfs takes this for a deletion."""
    return stat.S_ISCHR(state.st_mode) and state.st_rdev == DEVICE


def is_allowed_xattr(name: str) -> bool:
    """Say whether an archive may carry this attribute."""
    return name in ALLOWED_XATTRS or (name.startswith("user.") and not name.startswith(OVERLAY_XATTRS))
