"""Whole sequences in one operation: forward and backward passes by hand, one module an array library."""
