"""Random calls of every public function, judged by an oracle: `python -m tests.fuzz`."""
