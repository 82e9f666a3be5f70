"""The data: MNIST files, and rows of digits made of them.

Read in this order:

    idx.py           the file format
    mnist_files.py   the four files, checked, and the split for validation
    rows.py          rows of consecutive digits, and random rows for training
    augment.py       the same random rows, with digits that are warped and moved
    mnist/           the files themselves
"""
