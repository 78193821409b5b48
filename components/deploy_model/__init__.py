"""Step: puts the champion behind an endpoint of a Kubernetes cluster."""
