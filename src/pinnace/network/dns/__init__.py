"""Names inside an instance: Services and pods by name, everything else by the host's resolvers.

`answer` decides (pure), `records` computes what a Service's names are, `wire` is the packets' format, `forward` asks the
host's resolvers, `server` listens on the bridge. Used by `daemon`.
"""

from pinnace.network.dns.server import Dns

__all__ = ["Dns"]
