"""Objects of our own group, pinnace/v1, as values: what the engine and the image store keep beside Kubernetes' objects.

Written by hand, in the manner of the generated modules (see the package's head).
"""
