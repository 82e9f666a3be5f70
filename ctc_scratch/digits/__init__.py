"""The task: rows of handwritten digits (MNIST), read by LSTM layers trained with CTC.

    data/       MNIST files, and rows of digits made of them
    model/      the network, its file, and how well it reads
    training/   a training run, from its settings to its files
    reading/    from an image file to the digits in it
    lessons/    small experiments that show why CTC behaves as it does
    errors.py   the errors of all of these
"""
