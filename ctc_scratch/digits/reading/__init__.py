"""Reading: from an image file to the digits in it.

    image_file.py    an image file becomes grey values
    ink.py           grey values become ink on paper
    pieces.py        the ink is cut into digits, or digits that touch
    row.py           all of these steps: a row like those of MNIST
    read.py          rows are read with a model, printed and drawn
"""
