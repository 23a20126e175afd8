"""An Avi Controller and a Kubernetes API server to develop and test against."""
