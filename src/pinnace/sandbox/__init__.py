"""Root filesystem + link + mounts + limits + devices → a running process, and its undo.

Used by `node/`, `engine/` and `build/`; nobody else puts `container/`, `image/` and `network/` together.
"""
