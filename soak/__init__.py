"""What docs/reliability.rst comes from: ``make soak``, or ``python -m soak``."""
