"""CustomResourceDefinitions: their statuses, and the end of their objects before their own."""
