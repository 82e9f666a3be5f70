"""The network by hand: layers, LSTM, optimisers, gradient check."""
