"""The `pinnace` command: verbs, tables, progress and hints; a client of the daemon's sockets."""
