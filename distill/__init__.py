"""Distil small reasoning models from the verified chains of thought of a strong teacher."""

__version__ = "0.1.0"
__all__ = ["__version__"]
