"""OCI documents as values: references, digests, image configurations, manifests, indexes. Pure; imports only `base`."""

from pinnace.oci.config import (
    ContainerConfig,
    HealthCheck,
    History,
    ImageConfig,
    RootFs,
    decode_config,
    encode,
)
from pinnace.oci.digest import Digest, chain_ids, digest_of, hex_of, is_digest, parse_digest, short_id
from pinnace.oci.manifest import (
    Descriptor,
    Index,
    Manifest,
    Platform,
    decode_index,
    decode_manifest,
    kind_of_manifest,
)
from pinnace.oci.reference import Reference, parse_reference

__all__ = [
    "ContainerConfig",
    "Descriptor",
    "Digest",
    "HealthCheck",
    "History",
    "ImageConfig",
    "Index",
    "Manifest",
    "Platform",
    "Reference",
    "RootFs",
    "chain_ids",
    "decode_config",
    "decode_index",
    "decode_manifest",
    "digest_of",
    "encode",
    "hex_of",
    "is_digest",
    "kind_of_manifest",
    "parse_digest",
    "parse_reference",
    "short_id",
]
