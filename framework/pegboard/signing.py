"""Signatures of bundles: who vouches for one, checked before anything of it is unpickled.

What is signed is the manifest's bytes, which hold the SHA-256 and size of every file. Signatures are Ed25519
(RFC 8032), keys are PEM files as OpenSSL makes and reads them, and whom to trust is set outside the bundle.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pegboard.errors import BundleError, ConfigError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ALGORITHM = "Ed25519"
INSTALL = "pip install 'pegboard[signing]'"
MAKE = "`pegboard keys new NAME` makes a pair"


class SignatureRefused(BundleError):
    """No trusted key has signed a bundle, or what one signed is not this bundle."""


@dataclass(frozen=True, slots=True)
class Key:
    """What a key file holds: the key's id, and whether it is the half that signs."""

    id: str
    private: bool

    @property
    def kind(self) -> str:
        """The algorithm and the half, for people."""
        return f"{ALGORITHM} {'private' if self.private else 'public'} key"


@dataclass(frozen=True)
class Trust:
    """The public keys whose signatures count, by their ids. Without any, nothing is trusted."""

    keys: Mapping[str, Ed25519PublicKey]

    @classmethod
    def of(cls, paths: Sequence[str | Path]) -> Trust:
        """Read public keys; raises :class:`~pegboard.errors.ConfigError` for any other file."""
        keys = [load_public(path) for path in paths]
        return cls({key_id(key): key for key in keys})

    def check(self, manifest: bytes, signatures: Mapping[str, bytes], where: str) -> str:
        """Return the id of a trusted key that signed ``manifest``; raises :class:`SignatureRefused` if none did.

        ``signatures`` are the signatures found, by the ids that they claim; ``where`` names the bundle in messages.
        """
        if not signatures:
            raise SignatureRefused(
                f"{where} is not signed, and signatures are required here ({self._named()}): "
                "sign it with `pegboard models sign`"
            )
        known = [name for name in sorted(signatures) if name in self.keys]
        for name in known:
            if _fits(self.keys[name], signatures[name], manifest):
                return name
        if not known:
            raise SignatureRefused(
                f"{where} is signed by {', '.join(sorted(signatures))} only, which is not trusted here "
                f"({self._named()}): sign it with a trusted key, or add the signer's public key to trusted_keys"
            )
        raise SignatureRefused(
            f"{where}: the signature of {', '.join(known)} does not fit the manifest; one of the two was altered: "
            "restore the bundle from a copy, or train again"
        )

    def _named(self) -> str:
        return f"trusted: {', '.join(sorted(self.keys)) or 'no key'}"


def generate(private_path: str | Path, public_path: str | Path) -> str:
    """Make a pair of keys, the private file readable by its owner only, and return the key's id.

    Neither file may exist; raises :class:`~pegboard.errors.ConfigError` if one does.
    """
    serialization, ed25519 = _library()
    key = ed25519.Ed25519PrivateKey.generate()
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain)
    public = key.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
    for path in (private_path, public_path):
        if os.path.lexists(path):
            raise ConfigError(f"{path} exists already, and keys are never overwritten: choose another name")
    _create(private_path, private, 0o600)
    _create(public_path, public, 0o644)
    return key_id(key.public_key())


def sign(manifest: bytes, private_path: str | Path) -> tuple[str, bytes]:
    """Sign a manifest's bytes; return the key's id and the 64 bytes of the signature."""
    key = load_private(private_path)
    return key_id(key.public_key()), key.sign(manifest)


def key_id(public: Ed25519PublicKey) -> str:
    """Return a key's name: the first 16 hexadecimal digits of the SHA-256 of its 32 raw bytes."""
    return hashlib.sha256(public.public_bytes_raw()).hexdigest()[:16]


def describe(path: str | Path) -> Key:
    """Say what a key file holds; raises :class:`~pegboard.errors.ConfigError` if it is not one of ours."""
    if _is_private(_read(path)):
        return Key(key_id(load_private(path).public_key()), private=True)
    return Key(key_id(load_public(path)), private=False)


def load_private(path: str | Path) -> Ed25519PrivateKey:
    """Read the key that signs from a PKCS#8 file; raises :class:`~pegboard.errors.ConfigError` for any other."""
    data = _read(path)
    if not _is_private(data) and b"-----BEGIN PUBLIC KEY-----" in data:
        raise ConfigError(f"{path} holds a public key, which cannot sign: name the private one (.key)")
    serialization, ed25519 = _library()
    load = serialization.load_pem_private_key
    key: Ed25519PrivateKey = _parsed(path, lambda: load(data, None), ed25519.Ed25519PrivateKey)
    return key


def load_public(path: str | Path) -> Ed25519PublicKey:
    """Read a key to trust from a SubjectPublicKeyInfo file; raises :class:`~pegboard.errors.ConfigError` otherwise."""
    data = _read(path)
    if _is_private(data):
        raise ConfigError(
            f"{path} holds a private key, which should stay with who signs: name the public one (.pub), or write it "
            f"with `openssl pkey -in {path} -pubout`"
        )
    serialization, ed25519 = _library()
    load = serialization.load_pem_public_key
    key: Ed25519PublicKey = _parsed(path, lambda: load(data), ed25519.Ed25519PublicKey)
    return key


def _parsed(path: str | Path, parse: Callable[[], object], kind: Any) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        key = parse()
    except TypeError as error:  # what the library raises for a missing passphrase
        raise ConfigError(
            f"{path} is encrypted: decrypt it to a file that only you can read, with `openssl pkey -in {path}`"
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{path} is not a PEM file of an {ALGORITHM} key; {MAKE}") from error
    if not isinstance(key, kind):
        raise ConfigError(f"{path} holds another kind of key, and bundles are signed with {ALGORITHM}; {MAKE}")
    return key


def _fits(key: Ed25519PublicKey, signature: bytes, manifest: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(signature, manifest)
    except InvalidSignature:
        return False
    return True


def _is_private(data: bytes) -> bool:
    return b"PRIVATE KEY-----" in data


def _read(path: str | Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read the key {path}: {error.strerror}; {MAKE}") from error


def _create(path: str | Path, data: bytes, mode: int) -> None:
    try:
        # Created exclusively and with its mode at once: at no time can others read it, or a link lead elsewhere.
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(data)
    except OSError as error:
        raise ConfigError(f"cannot write the key {path}: {error.strerror}") from error


def _library() -> tuple[Any, Any]:
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError as error:
        raise ConfigError(f"signatures need the library cryptography: {INSTALL}") from error
    return serialization, ed25519
