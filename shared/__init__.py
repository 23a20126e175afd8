"""The ground floor: settings, errors, addresses, access to Kubernetes, Avi and Redis. It imports nothing of ours."""
