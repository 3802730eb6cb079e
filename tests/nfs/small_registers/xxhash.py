"""Stands in for xxhash where the registers that it computes in are lost between threads; the values are others."""

from hashlib import md5


class xxh3_128:
    """A hash of 128 bits."""

    def __init__(self, data=b""):
        self._hash = md5(data, usedforsecurity=False)
        self.update = self._hash.update
        self.digest = self._hash.digest
        self.hexdigest = self._hash.hexdigest

    def intdigest(self):
        return int.from_bytes(self.digest())


def xxh3_128_hexdigest(data):
    return xxh3_128(data).hexdigest()


def xxh3_128_intdigest(data):
    return xxh3_128(data).intdigest()
