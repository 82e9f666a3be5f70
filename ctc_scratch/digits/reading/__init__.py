"""Reading: from an image file to the digits in it.

Read in this order:

    image_file.py    an image file becomes grey values
    ink.py           grey values become amounts of ink, from 0 to 1
    rules.py         printed lines are removed from the ink
    pieces.py        the ink is cut into pieces (a digit, or several that touch), line by line
    row.py           the pieces of a line are scaled and centred: a row like those of MNIST
    page.py          all of these, from a file to its rows
    read.py          a model reads a row
    certainty.py     how likely a reading is right
    files.py         many files are read; report.py puts the results into a table, JSON or CSV
"""
