"""The watcher: Kubernetes as it is, kept in the mirror. See `watcher.main`."""
