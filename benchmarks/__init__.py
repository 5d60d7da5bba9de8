"""Side by side with other engines: `python -m benchmarks`."""
