"""The task: rows of MNIST digits, read by LSTM + CTC."""
