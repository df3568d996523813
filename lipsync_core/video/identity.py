"""The key and certificate that sign results: the user's own, or one made once for this installation.

They lie in one PEM file, `c2pa.pem` in the user's configuration folder; who has a certificate of the C2PA trust list
puts the private key and the chain there, leaf first.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from importlib import import_module
from pathlib import Path
from typing import Any

from ..media import atomic_output

_YEARS = 10  # a leaf that has expired makes every older result read as invalid
_PEM = re.compile(rb"-----BEGIN ([A-Z ]+)-----.+?-----END \1-----\s*", re.DOTALL)


@dataclass(frozen=True)
class Identity:
    """chain: PEM, leaf first. key: PEM. algorithm: as C2PA names it."""

    chain: bytes
    key: bytes
    algorithm: bytes


def identity_path() -> Path:
    """Where the PEM file lies: XDG on Linux, Application Support on macOS, APPDATA on Windows."""
    home = Path.home()
    if sys.platform == "win32":
        base = Path(os.environ.get("APPDATA") or home / "AppData" / "Roaming")
    elif sys.platform == "darwin":
        base = home / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    return base / "sd-lipsync" / "c2pa.pem"


def load_identity() -> Identity:
    """Read the file; make it the first time. Raises `ValueError` for a file that holds no key and certificate."""
    path = identity_path()
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with atomic_output(path) as temporary:
            temporary.chmod(0o600)
            temporary.write_bytes(_make())
    blocks = [(match[1], match[0]) for match in _PEM.finditer(path.read_bytes())]
    chain = b"".join(block for kind, block in blocks if kind == b"CERTIFICATE")
    keys = [block for kind, block in blocks if kind.endswith(b"PRIVATE KEY")]
    if not chain or len(keys) != 1:
        raise ValueError(f"{path.name} must hold one private key and its certificates")
    return Identity(chain, keys[0], _algorithm(keys[0]))


def _algorithm(key: bytes) -> bytes:
    asymmetric = "hazmat.primitives.asymmetric"
    private = _cryptography("hazmat.primitives.serialization").load_pem_private_key(key, password=None)
    if isinstance(private, _cryptography(f"{asymmetric}.ec").EllipticCurvePrivateKey):
        return {256: b"es256", 384: b"es384"}.get(private.curve.key_size, b"es512")
    return b"ed25519" if isinstance(private, _cryptography(f"{asymmetric}.ed25519").Ed25519PrivateKey) else b"ps256"


def _cryptography(name: str) -> Any:
    """A module of the package cryptography, which comes with c2pa-python."""
    return import_module(f"cryptography.{name}")


def _make() -> bytes:
    """A leaf signed by an authority of its own, whose key is thrown away: it can never sign another."""
    ec = _cryptography("hazmat.primitives.asymmetric.ec")
    serialization = _cryptography("hazmat.primitives.serialization")
    authority, leaf = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = _certificate("sd-lipsync local authority", authority, None, authority)
    certificate = _certificate("sd-lipsync local signer", leaf, root, authority)
    key = leaf.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    parts = [certificate.public_bytes(serialization.Encoding.PEM), root.public_bytes(serialization.Encoding.PEM)]
    return b"".join([key, *parts])


def _certificate(name: str, key: Any, issuer: Any, issuer_key: Any) -> Any:
    """An X.509 certificate as the C2PA specification wants it; issuer None makes an authority."""
    x509, names = _cryptography("x509"), _cryptography("x509.oid")
    authority = issuer is None
    attributes = [(names.NameOID.COMMON_NAME, name), (names.NameOID.ORGANIZATION_NAME, "sd-lipsync")]
    subject = x509.Name([x509.NameAttribute(kind, value) for kind, value in attributes])
    now = datetime.now(timezone.utc) - timedelta(minutes=5)  # clocks differ
    flags = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only",
         "decipher_only"), False)  # fmt: skip
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if authority else issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=365 * _YEARS))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=0 if authority else None), critical=True)
        .add_extension(
            x509.KeyUsage(digital_signature=not authority, key_cert_sign=authority, crl_sign=authority, **flags),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if not authority:
        builder = builder.add_extension(
            x509.ExtendedKeyUsage([names.ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False
        )
    return builder.sign(issuer_key, _cryptography("hazmat.primitives.hashes").SHA256())
