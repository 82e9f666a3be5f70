"""Reading: from an image file to the digits in it.

Read in this order:

    image_file.py    an image file becomes grey values
    ink.py           grey values become amounts of ink, from 0 to 1
    pieces.py        the ink is cut into digits, or digits that touch
    row.py           the pieces are scaled and centred: a row like those of MNIST
    read.py          a model reads the rows; the digits are printed and drawn
"""
