"""CTC in a browser: `ctc.js` holds the functions of `ctc.reference` in JavaScript, without dependencies."""
