"""The ground floor: settings, errors, addresses, Kubernetes and Avi access, Redis. Imports nothing of ours from above."""
