"""Measurements, printed as tables. `python -m bench --help`; what each figure means stands in docs/performance.md."""
