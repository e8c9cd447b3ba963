"""A TCP peer you control: greets, acknowledges, echoes, and is made to be subclassed."""

__version__ = "0.1.0"
