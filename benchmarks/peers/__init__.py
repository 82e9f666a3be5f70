"""What CTC losses of other libraries answer to the test vectors."""
