"""The interactive page: one HTML file on which to play with CTC, put together from plain scripts.

    ctc.js              the functions of `ctc.reference` in JavaScript, without dependencies
    math/               paths, decoders and examples of numerics, on top of ctc.js
    app/                the shared problem, deep links, what all rooms draw with; begin with `main.js`
    rooms/              the six rooms of the page, and the pictures in them
    template.html       the text of the page; style.css and rooms.css are its style
    recorded.json       a small network that learns to read, recorded by `record.py`
    bundle.py           puts all this into one file
"""
