"""Links, Service rules and names: what makes a pod reachable on this machine.

`Network` makes the bridge and the pods' links, `ServiceProxy` keeps the nftables rules of Services and published ports,
`ForeignFirewalls` gets along with Docker, ufw and firewalld, `Dns` answers names. Used by `sandbox`, `node`, `engine`
and `daemon`. Deciders (`addresses`, `service_facts`, `rules`, `claims`, `foreign_rules`, `dns.answer`) are pure.
"""

from pinnace.network.bridge import Link, Network

__all__ = ["Link", "Network"]
