"""The data: MNIST files, and rows of digits made of them.

    idx.py           the file format
    mnist_files.py   the four files, checked, and the split for validation
    rows.py          rows of consecutive digits, and random rows for training
    augment.py       random rows whose digits are warped and moved
    mnist/           the files themselves
"""
