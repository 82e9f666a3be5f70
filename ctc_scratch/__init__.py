"""Connectionist Temporal Classification from scratch."""
