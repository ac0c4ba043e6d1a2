"""Images on disk: content store, layers, root filesystems. Imports nothing here, so that the worker starts fast.

The way in is `pinnace.image.store.ImageStore`.
"""
