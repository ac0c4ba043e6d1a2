"""The one place that builds everything and wires it: start, stop, re-adopt what is running."""
