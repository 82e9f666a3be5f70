"""What the bridge to torch is worth in a training loop."""
