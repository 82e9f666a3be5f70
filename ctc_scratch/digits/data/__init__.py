"""The data: MNIST and data sets like it, and rows of digits made of them.

Read in this order:

    idx.py           the file format
    data_set.py      where the four files of a data set are, and how they are named
    mapping.py       the names of the classes of data sets that have letters
    mnist_files.py   the four files, checked, and the split for validation
    rows.py          rows of consecutive digits, and random rows for training
    augment.py       the same random rows, with digits that are warped and moved
    mnist/           the files themselves
"""
