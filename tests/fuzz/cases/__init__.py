"""What `python -m tests.fuzz` calls, and what must come back: one file per group of functions."""
