"""Small experiments that show why CTC behaves as it does: `ctc-scratch show` and `ctc-scratch gradcheck`.

    memorise.py      one row is learnt by heart; its gamma at each iteration
    mistake.py       the original mistake, a wrong number of frames, and how to mend it
    reading.py       a small reader learns to read a row that it has not seen
    plateau.py       why a network first answers blank everywhere, and later reads digits as spikes
    uniform.py       gamma of uniform outputs in closed form
    gradchecks.py    every gradient of the project against finite differences
    example.py       the rows that the lessons show
    output.py        the folder for figures and text
"""
