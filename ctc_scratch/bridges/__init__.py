"""Bridges to torch and JAX: the losses of `ctc` in their training loops. Loaded only on request."""
