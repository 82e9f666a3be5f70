"""Which test vectors the CTC losses of other libraries solve correctly."""
