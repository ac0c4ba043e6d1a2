"""What a new user runs first: base images, an inference service, a load generator, the demo. No part of the package."""
