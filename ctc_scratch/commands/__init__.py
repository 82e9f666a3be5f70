"""The command line `ctc-scratch VERB ...`: `main.py` is the program, and each verb has a file.

A verb's file has EXAMPLE, a call that its help shows; ERRORS, the errors that end as one line, each with
the exit status; `add_arguments(parser)`; and `run(options)`, which returns the exit status.
"""
