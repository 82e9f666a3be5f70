"""Bridges to other libraries: CTC in the training loops of torch. Nothing here is imported unasked."""
