"""What docs/explanation/performance.rst comes from: ``make bench``, or ``python -m benchmarks``."""
