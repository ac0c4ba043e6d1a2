"""Docker's containers: made, watched, restarted and removed as `pinnace run` asks. Used by `ownapi/`, wired by `daemon/`.

What flags and images mean is decided in pure files (`request`, `ports`, `mounts`, `amounts`, `restart`, `merge`, `specs`,
`status`, `views`, `filters`, `lookup`, `names`); `engine` and `volumes` do it.
"""
