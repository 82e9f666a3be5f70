"""How much time and memory the bridge to torch saves in a training loop."""
