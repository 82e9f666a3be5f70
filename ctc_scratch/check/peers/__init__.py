"""Adapters for other implementations: those of torch and optax, and programs in any language."""
