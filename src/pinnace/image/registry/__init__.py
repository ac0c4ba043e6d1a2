"""Images from and to registries: the distribution protocol, its authentication, and what is told while layers travel."""
