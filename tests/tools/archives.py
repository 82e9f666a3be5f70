"""Sound and damaged archives, read and written by hand, for the tests of the code that reads them."""

import io
import json
import tracemalloc
import zipfile

import numpy as np
import pytest

from ctc_scratch.digits.model import archive

MEGABYTE = 1 << 20


def read(path):
    """The header and arrays of an archive, by NumPy's own reader."""
    with np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    return json.loads(str(arrays.pop("header"))), arrays


def rewrite(path, change):
    """Change a sound archive by `change(header, arrays)`; the checksums of the result are right."""
    header, arrays = read(path)
    change(header, arrays)
    archive.write_archive(path, header, arrays)


def npy(array):
    """An array as numpy.save writes it."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def npy_header(shape, descr="<f4"):
    """The npy header of an array of any shape, without data."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, dict(shape=shape, fortran_order=False, descr=descr))
    return buffer.getvalue()


def members(path):
    """Name and bytes of each member of a zip file."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_members(path, contents, compression=zipfile.ZIP_STORED):
    """Write a zip file of pairs (name, bytes); names may repeat."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in contents:
            archive.writestr(name, content)


class refused:
    """Checks that a block raises this error, in one line, and allocates less than `most` bytes."""

    def __init__(self, error, match, most=4 * MEGABYTE):
        self.raises, self.most = pytest.raises(error, match=match), most

    def __enter__(self):
        tracemalloc.start()
        self.info = self.raises.__enter__()
        return self.info

    def __exit__(self, *ended):
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        result = self.raises.__exit__(*ended)
        assert peak < self.most, f"took {peak / MEGABYTE:.1f} MB"
        assert "\n" not in str(self.info.value) and len(str(self.info.value)) < 1000
        return result
