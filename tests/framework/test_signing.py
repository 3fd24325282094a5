"""Signatures: OpenSSL agrees about them, and everything that is not signed by a trusted key is told apart."""

from __future__ import annotations

import hashlib
import json
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from hypothesis import given
from hypothesis import strategies as st

from pegboard.cli.keys import keys
from pegboard.errors import ConfigError
from pegboard.signing import SignatureRefused, Trust, describe, generate, sign

MANIFEST = b'{"files": {"pipeline.joblib": {"sha256": "00", "size": 1}}}\n'


def openssl(*arguments: object) -> str:
    return subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, text=True).stdout


def pair(directory: Path, name: str) -> tuple[Path, Path, str]:
    private, public = directory / f"{name}.key", directory / f"{name}.pub"
    return private, public, generate(private, public)


def test_openssl_verifies_what_we_sign(tmp_path: Path) -> None:
    private, public, made = pair(tmp_path, "release")
    signer, signature = sign(MANIFEST, private)
    (tmp_path / "manifest.json").write_bytes(MANIFEST)
    (tmp_path / "signature").write_bytes(signature)

    check = ("pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", public, "-sigfile", tmp_path / "signature", "-in")
    assert "Signature Verified Successfully" in openssl(*check, tmp_path / "manifest.json")
    assert (signer, len(signature)) == (made, 64)
    (tmp_path / "other.json").write_bytes(MANIFEST + b" ")
    with pytest.raises(subprocess.CalledProcessError):
        openssl(*check, tmp_path / "other.json")


def test_we_trust_what_openssl_makes_and_signs(tmp_path: Path) -> None:
    private, public, signed = tmp_path / "o.key", tmp_path / "o.pub", tmp_path / "signature"
    openssl("genpkey", "-algorithm", "ed25519", "-out", private)
    openssl("pkey", "-in", private, "-pubout", "-out", public)
    (tmp_path / "manifest.json").write_bytes(MANIFEST)
    openssl("pkeyutl", "-sign", "-rawin", "-inkey", private, "-in", tmp_path / "manifest.json", "-out", signed)

    name, ours = sign(MANIFEST, private)

    assert signed.read_bytes() == ours
    assert Trust.of([public]).check(MANIFEST, {name: signed.read_bytes()}, "house/1") == name


def test_a_keys_id_is_the_start_of_the_sha256_of_its_raw_bytes(tmp_path: Path) -> None:
    private, public, made = pair(tmp_path, "release")
    raw = load_pem_public_key(public.read_bytes()).public_bytes_raw()  # type: ignore[union-attr]

    assert made == hashlib.sha256(raw).hexdigest()[:16]
    assert (describe(public).id, describe(public).kind) == (made, "Ed25519 public key")
    assert (describe(private).id, describe(private).kind) == (made, "Ed25519 private key")


def test_only_the_owner_can_read_a_new_private_key_and_nothing_is_overwritten(tmp_path: Path) -> None:
    private, public, _ = pair(tmp_path, "release")
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    kept = private.read_bytes(), public.read_bytes()

    with pytest.raises(ConfigError, match=r"release\.key exists already"):
        generate(private, tmp_path / "new.pub")
    with pytest.raises(ConfigError, match=r"release\.pub exists already"):
        generate(tmp_path / "new.key", public)

    assert (private.read_bytes(), public.read_bytes()) == kept
    assert sorted(path.name for path in tmp_path.iterdir()) == ["release.key", "release.pub"]


def test_unsigned_wrong_key_and_altered_are_told_apart(tmp_path: Path) -> None:
    private, public, ours = pair(tmp_path, "ours")
    theirs_private, _, theirs = pair(tmp_path, "theirs")
    trust = Trust.of([public])
    good, strange = dict([sign(MANIFEST, private)]), dict([sign(MANIFEST, theirs_private)])

    assert trust.check(MANIFEST, {**strange, **good}, "house/1") == ours
    with pytest.raises(SignatureRefused, match=rf"^house/1 is not signed, .* \(trusted: {ours}\): sign it with"):
        trust.check(MANIFEST, {}, "house/1")
    with pytest.raises(SignatureRefused, match=rf"^house/1 is signed by {theirs} only, .* \(trusted: {ours}\): sign"):
        trust.check(MANIFEST, strange, "house/1")
    with pytest.raises(SignatureRefused, match=rf"^house/1: the signature of {ours} does not fit the manifest"):
        trust.check(MANIFEST + b" ", good, "house/1")
    with pytest.raises(SignatureRefused, match="does not fit"):
        trust.check(MANIFEST, {ours: strange[theirs]}, "house/1")
    with pytest.raises(SignatureRefused, match="trusted: no key"):
        Trust.of([]).check(MANIFEST, good, "house/1")


def test_one_trusted_key_of_several_is_enough_so_that_keys_can_be_rotated(tmp_path: Path) -> None:
    old, new = pair(tmp_path, "old"), pair(tmp_path, "new")
    signatures = dict([sign(MANIFEST, old[0]), sign(MANIFEST, new[0])])
    for trusted in ([old[1]], [new[1]], [old[1], new[1]]):
        assert Trust.of(trusted).check(MANIFEST, signatures, "house/1") in signatures


@given(data=st.data())
def test_any_change_of_the_manifest_or_of_the_signature_is_refused(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        private, public, name = pair(Path(scratch), "release")
        trust, signature = Trust.of([public]), sign(MANIFEST, private)[1]
    changed = [bytearray(MANIFEST), bytearray(signature)]
    content = changed[data.draw(st.integers(0, 1), label="which")]
    content[data.draw(st.integers(0, len(content) - 1), label="position")] ^= data.draw(st.integers(1, 255))

    with pytest.raises(SignatureRefused, match="does not fit"):
        trust.check(bytes(changed[0]), {name: bytes(changed[1])}, "house/1")


def test_files_that_are_not_public_keys_are_refused_with_the_remedy(tmp_path: Path) -> None:
    private, public, _ = pair(tmp_path, "release")
    openssl("genpkey", "-algorithm", "rsa", "-pkeyopt", "rsa_keygen_bits:2048", "-out", tmp_path / "rsa.key")
    openssl("pkey", "-in", tmp_path / "rsa.key", "-pubout", "-out", tmp_path / "rsa.pub")
    (tmp_path / "text.pub").write_text("ssh-ed25519 AAAA me@here\n")
    for path, problem in {
        private: "holds a private key, which should stay with who signs: name the public one",
        tmp_path / "rsa.pub": "holds another kind of key, and bundles are signed with Ed25519",
        tmp_path / "text.pub": "is not a PEM file of an Ed25519 key; `pegboard keys new NAME` makes a pair",
    }.items():
        with pytest.raises(ConfigError) as refused:
            Trust.of([public, path])
        assert str(refused.value).startswith(f"{path} {problem}")
    with pytest.raises(ConfigError, match=r"^cannot read the key .*gone\.pub: No such file"):
        Trust.of([tmp_path / "gone.pub"])


def test_files_that_cannot_sign_are_refused_with_the_remedy(tmp_path: Path) -> None:
    private, public, _ = pair(tmp_path, "release")
    openssl("genpkey", "-algorithm", "rsa", "-pkeyopt", "rsa_keygen_bits:2048", "-out", tmp_path / "rsa.key")
    openssl("pkey", "-in", private, "-aes256", "-passout", "pass:secret", "-out", tmp_path / "locked.key")
    for path, problem in {
        public: "holds a public key, which cannot sign: name the private one",
        tmp_path / "rsa.key": "holds another kind of key",
        tmp_path / "locked.key": "is encrypted: decrypt it to a file that only you can read",
    }.items():
        with pytest.raises(ConfigError) as refused:
            sign(MANIFEST, path)
        assert str(refused.value).startswith(f"{path} {problem}")


def test_without_the_library_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private, public, _ = pair(tmp_path, "release")
    for name in [name for name in sys.modules if name.split(".")[0] == "cryptography"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cryptography", None)

    for act in (lambda: sign(MANIFEST, private), lambda: Trust.of([public]), lambda: pair(tmp_path, "new")):
        with pytest.raises(ConfigError) as refused:
            act()
        assert str(refused.value).endswith("pip install 'pegboard[signing]'")


def test_the_commands_make_a_pair_and_show_each_half(tmp_path: Path) -> None:
    made = CliRunner().invoke(keys, ["new", "release", "--directory", str(tmp_path)])
    assert made.exit_code == 0, made.output
    private, public = tmp_path / "release.key", tmp_path / "release.pub"
    name = describe(public).id
    assert f"key {name}\n" in made.output
    assert f"PEGBOARD_SIGNING_KEY={private} pegboard train" in made.output
    assert f'trusted_keys = ["{public}"]' in made.output

    shown = CliRunner().invoke(keys, ["show", str(public)])
    assert shown.output == f"{name}  Ed25519 public key\n"
    as_json = CliRunner().invoke(keys, ["show", str(private), "--json"])
    assert json.loads(as_json.output) == {"id": name, "kind": "Ed25519 private key", "file": str(private)}
    again = CliRunner().invoke(keys, ["new", "release", "--directory", str(tmp_path)])
    assert isinstance(again.exception, ConfigError)


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".."])
def test_a_name_that_leaves_the_directory_is_refused(tmp_path: Path, name: str) -> None:
    done = CliRunner().invoke(keys, ["new", name, "--directory", str(tmp_path)])
    assert isinstance(done.exception, ConfigError)
    assert list(tmp_path.iterdir()) == []
