"""The `ako` command."""
