"""Breaking everything on purpose, with a figure for each way of breaking: see docs/reliability.md."""
