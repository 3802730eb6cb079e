"""Signatures of the shared tier's results, for a folder that more people can write to than are trusted.

What is signed is the result as its file has it, byte for byte: its keys, its number, its blobs' digests, its parents'
content. So nothing of it can be changed or be moved to another key. The digests of the cache are made for speed, and
whoever wants to can make other bytes with the same one; so the signature also covers a SHA-256 of each blob, and a
blob of the shared tier is only taken if it has that.

    ed25519:<public key>:<signature>:<the SHA-256 of each of `ActionResult.blobs`, in that order>      all in base64

`cryptography` is imported here only, and only where something is signed or checked.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import stat
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ddbuild.cache.result import ActionResult, Blob
from ddbuild.errors import UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = [
    "KEY_VARIABLE",
    "PUBLIC_KEY",
    "Trust",
    "UntrustedError",
    "create_private_key",
    "find_private_key",
    "read_public_key",
]

KEY_VARIABLE = "DDBUILD_SIGNING_KEY"
"""The environment variable that names the file with the private key."""

PUBLIC_KEY = r"^ed25519:[A-Za-z0-9+/]{43}=$"
"""What a public key looks like."""

_SUBJECT = b"ddbuild action result 1\0"
_SIGNATURE = re.compile(r"(ed25519:[A-Za-z0-9+/]{43}=):([A-Za-z0-9+/]{86}==):([A-Za-z0-9+/]*={0,2})")
_HASH = 32
_MAX_KEY_BYTES = 16 << 10


class UntrustedError(ValueError):
    """A result is not signed, or not by a trusted key, or was changed since."""


class Trust:
    """Whose results count, and the key that this machine signs with, if it has one.

    `hash_blob` gives the SHA-256 of a blob that this machine has itself; a cache sets it. Safe from many threads.
    """

    def __init__(self, trusted_keys: Iterable[str], private_key: Path | None = None) -> None:
        self.trusted_keys = frozenset(trusted_keys)
        self.private_key = private_key
        self.hash_blob: Callable[[Blob], bytes] = _refuse_to_hash
        self.on_warning: Callable[[str, str], None] = _ignore
        self._lock = threading.Lock()
        self._loaded = False
        self._signer: Ed25519PrivateKey | None = None
        self._signer_name = ""
        self._vouched: dict[str, bytes] = {}

    @property
    def can_sign(self) -> bool:
        """Whether this machine has a key that is trusted; without one it only reads."""
        return self._load() is not None

    def vouches_for(self, blob: Blob) -> bytes | None:
        """Return the SHA-256 that a trusted result names for `blob`, or None if none was read so far."""
        return self._vouched.get(blob.digest)

    def sign(self, body: bytes, result: ActionResult) -> str:
        """Return the signature of `result`, which is encoded as `body`.

        Raises:
            OSError: a blob of it cannot be read, so that its SHA-256 is not known.
        """
        signer = self._load()
        assert signer is not None, "who cannot sign does not write"
        hashes = [self._vouched.get(blob.digest) or self.hash_blob(blob) for blob in result.blobs]
        value = signer.sign(_message(body, b"".join(hashes)))
        self._vouch(result, hashes)
        return f"{self._signer_name}:{_encode(value)}:{_encode(b''.join(hashes))}"

    def check(self, signature: str | None, body: bytes, result: ActionResult) -> None:
        """Check that `result`, which is encoded as `body`, is signed by a trusted key; from then on it is vouched for.

        Raises:
            UntrustedError: it is not.
        """
        if signature is None:
            raise UntrustedError("it is not signed")
        match = _SIGNATURE.fullmatch(signature)
        if match is None:
            raise UntrustedError("its signature is none")
        name, value, text = match.groups()
        if name not in self.trusted_keys:
            raise UntrustedError(f"it is signed by {name}")
        try:
            joined = base64.b64decode(text, validate=True)
        except binascii.Error:
            raise UntrustedError("its signature is none") from None
        if len(joined) != _HASH * len(result.blobs) or not _verify(name, value, _message(body, joined)):
            raise UntrustedError("it was changed since it was signed")
        self._vouch(result, [joined[at : at + _HASH] for at in range(0, len(joined), _HASH)])

    def _vouch(self, result: ActionResult, hashes: Iterable[bytes]) -> None:
        self._vouched.update(zip((blob.digest for blob in result.blobs), hashes, strict=True))

    def _load(self) -> Ed25519PrivateKey | None:
        with self._lock:
            if not self._loaded:
                self._loaded = True
                self._signer = self._open_signer()
            return self._signer

    def _open_signer(self) -> Ed25519PrivateKey | None:
        if self.private_key is None or not self.private_key.exists():
            return None
        try:
            signer = _read_private_key(self.private_key)
        except UsageError as error:
            self.on_warning("signing key", f"{error.message}; results are not shared")
            return None
        self._signer_name = _name(signer)
        if self._signer_name not in self.trusted_keys:
            text = f"the signing key `{self.private_key}` is not among the `trusted_keys`; results are not shared"
            self.on_warning("signing key", text)
            return None
        return signer


def find_private_key(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return where this user's private key is, or would be; None where there is no place for it."""
    if named := environ.get(KEY_VARIABLE):
        return Path(named).expanduser()
    config = environ.get("XDG_CONFIG_HOME") or ""
    if not Path(config).is_absolute():
        if not environ.get("HOME"):
            return None
        config = str(Path(environ["HOME"]) / ".config")
    return Path(config) / "ddbuild" / "signing-key.pem"


def create_private_key(path: Path) -> str:
    """Write a new private key, which only its owner can read, and return the public one.

    Raises:
        UsageError: something is there already, or it cannot be written.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise UsageError(
            f"`{path}` is there already, and nothing is overwritten",
            hint="`ddbuild keygen --show` prints its public key",
        ) from None
    except OSError as error:
        raise UsageError(f"`{path}` cannot be written: {(error.strerror or str(error)).lower()}") from None
    return _name(key)


def read_public_key(path: Path) -> str:
    """Return the public key that belongs to the private key in `path`.

    Raises:
        UsageError: there is none, or others can read it.
    """
    return _name(_read_private_key(path))


def _read_private_key(path: Path) -> Ed25519PrivateKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise UsageError(f"the signing key `{path}` is no file")
            if status.st_mode & 0o077:
                raise UsageError(f"the signing key `{path}` can be read by others", hint=f"chmod 600 {path}")
            data = file.read(_MAX_KEY_BYTES)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"the signing key `{path}` cannot be read: {reason}", hint="ddbuild keygen") from None
    try:
        key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(
            f"`{path}` holds no signing key", facts={"expected": "an Ed25519 key in PEM, as keygen writes"}
        )
    return key


def _name(key: Ed25519PrivateKey) -> str:
    return f"ed25519:{_encode(key.public_key().public_bytes_raw())}"


def _verify(name: str, value: str, message: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    public = base64.b64decode(name.partition(":")[2])
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(base64.b64decode(value), message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _message(body: bytes, hashes: bytes) -> bytes:
    return _SUBJECT + len(hashes).to_bytes(8, "big") + hashes + body


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _refuse_to_hash(blob: Blob) -> bytes:
    raise FileNotFoundError(2, "nobody knows the bytes of this blob", blob.digest)


def _ignore(kind: str, text: str) -> None:
    """Leave it untold where nobody has asked to hear of it."""
