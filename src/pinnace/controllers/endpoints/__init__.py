"""Services' endpoints: which pods answer, in EndpointSlices and in the older Endpoints."""
