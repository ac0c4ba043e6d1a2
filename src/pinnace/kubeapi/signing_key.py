"""Keeps the key that signs the tokens of service accounts; made once, so that tokens survive a restart.

The daemon calls `ensure_signing_key` at every start. It must never overwrite a key that it can't read: every token in use
would end with it.
"""

from pathlib import Path

from cryptography.hazmat.primitives import serialization

from pinnace.api.access.tokens import make_key
from pinnace.base.errors import UserError
from pinnace.kubeapi.files import write_private

NAME = "sa.key"  # Source: kubeadm


def ensure_signing_key(directory: Path) -> bytes:
    """Return the key as PEM. Raises: UserError for a file that is no key."""
    path = directory / NAME
    if not path.exists():
        key = make_key()
        write_private(path, key)
        return key
    content = path.read_bytes()
    try:
        serialization.load_pem_private_key(content, password=None)
    except (ValueError, TypeError):
        raise UserError(
            f"{path}: the signing key of service accounts can't be read",
            hint="restore it from a backup, or remove it: every token in use ends, and pods get new ones",
        ) from None
    return content
