"""Is your CTC right? Test vectors for any implementation, in any language."""
