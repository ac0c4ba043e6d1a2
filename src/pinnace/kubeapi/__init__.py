"""The Kubernetes API over HTTP: authentication, negotiation, streaming, tables. Edges only, no decisions."""
