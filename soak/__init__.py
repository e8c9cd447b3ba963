"""What docs/explanation/reliability.rst comes from: ``make soak``, or ``python -m soak``."""
