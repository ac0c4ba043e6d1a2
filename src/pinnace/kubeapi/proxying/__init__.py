"""The subresource `proxy` of pods, services and nodes: HTTP requests that are passed on into the cluster."""
