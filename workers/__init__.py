"""The workers: claim a key, compute what should stand, write the difference."""
