"""Fixtures that tests of more than one folder use."""

from tests.product.fixtures import kubectl_binary, make_product, ns, own, product, root_tar

__all__ = ["kubectl_binary", "make_product", "ns", "own", "product", "root_tar"]
