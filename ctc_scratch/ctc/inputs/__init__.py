"""What callers pass, checked before any kernel runs, because a kernel trusts its caller.

Each error names the argument, the position in it, the value and what was expected.
"""
