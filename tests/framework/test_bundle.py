"""A bundle: what was written is what is read, and nothing that differs is ever unpickled."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import sklearn
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pegboard import bundle as bundles
from pegboard import provenance
from pegboard.bundle import MANIFEST, PIPELINE, REPLAY, VALIDATION, Bundle, open_bundle, verify
from pegboard.errors import BundleError
from pegboard.leaderboard import Candidate, Leaderboard
from pegboard.requirements import Requirement, Requirements, problems
from pegboard.signature import Feature, Signature

SIGNATURE = Signature(
    "regression", (Feature("area", "number"), Feature("zone", "category", categories=("a",))), "price"
)
BOARD = Leaderboard.of("rmse", False, [Candidate("linear", (2.0, 3.0)), Candidate("mean", (9.0, 8.0), baseline=True)])
ROWS = np.array([[1.0, 2.0], [2.0, 1.0], [3.0, 5.0], [4.0, 0.5]])
PIPE = make_pipeline(StandardScaler(), LinearRegression()).fit(ROWS, ROWS @ [2.0, 3.0] + 1)
PICKLED = io.BytesIO()
joblib.dump(PIPE, PICKLED)
SKLEARN = Requirement("scikit-learn", sklearn.__version__, "classes", ("sklearn.pipeline:Pipeline",))
FILES = [MANIFEST, PIPELINE, REPLAY, VALIDATION]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


class Canary:
    """An object whose unpickling makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str, str]]:
        return open, (str(self.path), "w")


def write(directory: Path) -> Bundle:
    manifest = {
        "name": "house",
        "model": "linear",
        "created_at": "2024-05-01T12:00:00.000+00:00",
        "signature": SIGNATURE.to_dict(),
        "leaderboard": BOARD.to_dict(),
        "metrics": {},
        "data": {},
        "python": "3",
        "plugins": [],
        "libraries": provenance.libraries(),
        "requirements": needing(SKLEARN),
    }
    replay = {"rows": [{"area": 1.0, "zone": "a"}], "predictions": [9.0]}
    files = {PIPELINE: PICKLED.getvalue(), REPLAY: json.dumps(replay).encode(), VALIDATION: b'{"success": true}'}
    return bundles.write(directory, manifest, files)


def needing(*direct: Requirement) -> dict[str, Any]:
    return Requirements(direct, {r.name: r.version for r in direct}, {}, ()).to_dict()


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return write(tmp_path / "bundle")


def rewrite(bundle: Bundle, **changes: Any) -> None:
    """Change the manifest, its own description of the other files included."""
    (bundle.directory / MANIFEST).write_text(json.dumps({**bundle.manifest, **changes}))


def describe(data: bytes) -> dict[str, Any]:
    return {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def refusal(act: Callable[[], object]) -> str:
    with pytest.raises(BundleError) as refused:
        act()
    return str(refused.value)


def refusal_if_any(act: Callable[[], object]) -> str:
    try:
        act()
    except BundleError as refused:
        return str(refused)
    return ""


def test_a_bundle_gives_back_what_was_written(bundle: Bundle) -> None:
    again = open_bundle(bundle.directory, bundle.digest)

    verify(again)
    assert again == bundle
    assert again.digest == hashlib.sha256((bundle.directory / MANIFEST).read_bytes()).hexdigest()
    assert (again.name, again.model) == ("house", "linear")
    assert again.signature == SIGNATURE
    assert again.leaderboard == BOARD
    assert again.replay() == {"rows": [{"area": 1.0, "zone": "a"}], "predictions": [9.0]}
    assert again.read(VALIDATION) == b'{"success": true}'
    np.testing.assert_array_equal(again.pipeline().predict(ROWS), PIPE.predict(ROWS))


def test_the_manifest_describes_every_other_file(bundle: Bundle) -> None:
    written = {path.name: path.read_bytes() for path in bundle.directory.iterdir()}

    assert sorted(written) == sorted(FILES)
    assert bundle.manifest["files"] == {name: describe(data) for name, data in written.items() if name != MANIFEST}
    assert bundle.manifest["format"] == 2


def test_the_same_content_has_the_same_digest_wherever_it_is(bundle: Bundle, tmp_path: Path) -> None:
    assert write(tmp_path / "elsewhere").digest == bundle.digest


@given(data=st.data())
def test_a_flipped_byte_in_any_file_is_refused(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        bundle = write(Path(scratch) / "bundle")
        file = data.draw(st.sampled_from(FILES), label="file")
        content = bytearray((bundle.directory / file).read_bytes())
        position = data.draw(st.integers(0, len(content) - 1), label="position")
        content[position] ^= data.draw(st.integers(1, 255), label="flip")
        (bundle.directory / file).write_bytes(content)

        if file == MANIFEST:
            message = refusal(lambda: open_bundle(bundle.directory, bundle.digest))
            assert message.startswith(f"{bundle.directory}: the manifest was altered: its digest is ")
        else:
            opened = open_bundle(bundle.directory, bundle.digest)
            expected = f"{bundle.directory}: {file} is not what the manifest says; it was altered or cut"
            assert refusal(lambda: opened.read(file)).startswith(expected)
            assert refusal(lambda: verify(opened)).startswith(expected)


PARTS = ["direct", "lock", "origins", "unowned", "version", "kind", "for"]


@given(
    key=st.sampled_from(["format", "name", "model", "requirements", "files", "size", "sha256", "file", *PARTS]),
    value=JSON,
)
def test_a_manifest_with_any_value_in_any_place_raises_nothing_but_a_refusal(key: str, value: Any) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        bundle = write(Path(scratch) / "bundle")
        files: Any = bundle.manifest["files"]
        if key in ("size", "sha256"):
            rewrite(bundle, files={**files, PIPELINE: {**files[PIPELINE], key: value}})
        elif key == "file":
            rewrite(bundle, files={**files, PIPELINE: value})
        elif key in PARTS:
            needed = needing(SKLEARN)
            (needed if key in needed else needed["direct"][0])[key] = value
            rewrite(bundle, requirements=needed)
        else:
            rewrite(bundle, **{key: value})
        for act in (verify, problems):
            message = refusal_if_any(lambda act=act: act(open_bundle(bundle.directory)))
            assert message == "" or message.startswith(str(bundle.directory))


@pytest.mark.parametrize("direct", [None, (), (replace(SKLEARN, version="0.1"),)], ids=["same", "unknown", "other"])
def test_a_pickle_put_in_the_place_of_the_pipeline_never_runs(bundle: Bundle, tmp_path: Path, direct: Any) -> None:
    """The digest stops it; with the digest made right, what is needed; with that made right, the policy."""
    sign = tmp_path / "the-pickle-ran"
    evil = pickle.dumps(Canary(sign)).ljust(bundle.manifest["files"][PIPELINE]["size"], b"\0")
    (bundle.directory / PIPELINE).write_bytes(evil)
    if direct is not None:
        rewrite(bundle, requirements=needing(*direct), files={**bundle.manifest["files"], PIPELINE: describe(evil)})
    opened = open_bundle(bundle.directory)

    refusal(opened.pipeline)

    assert not sign.exists()
    joblib.load(bundle.directory / PIPELINE).close()
    assert sign.exists(), "this canary could not have sung"


def test_an_extra_file_is_refused_by_name(bundle: Bundle) -> None:
    (bundle.directory / "notes.txt").write_text("do not forget")
    (bundle.directory / "a-folder").mkdir()

    message = refusal(lambda: verify(open_bundle(bundle.directory)))

    assert message.startswith(f"{bundle.directory}: not in the manifest: a-folder, notes.txt")


@pytest.mark.parametrize("file", [PIPELINE, REPLAY, VALIDATION])
@pytest.mark.parametrize("damage", ["missing", "a folder", "cut", "empty", "longer"])
def test_a_damaged_file_is_refused_by_name_and_not_read(bundle: Bundle, file: str, damage: str) -> None:
    path = bundle.directory / file
    content = path.read_bytes()
    path.unlink()
    if damage == "a folder":
        path.mkdir()
    elif damage != "missing":
        path.write_bytes({"cut": content[:-1], "empty": b"", "longer": content + b"\n"}[damage])
    opened = open_bundle(bundle.directory, bundle.digest)

    unreadable, altered = f"cannot read {file}: ", f"{file} is not what the manifest says; it was altered or cut"
    for act in (lambda: verify(opened), lambda: opened.read(file)):
        message = refusal(act)
        assert message.startswith(f"{bundle.directory}: {unreadable if damage in ('missing', 'a folder') else altered}")


def test_a_file_that_the_manifest_does_not_know_is_not_read(bundle: Bundle) -> None:
    (bundle.directory / "notes.txt").write_text("secret")
    for name in ("notes.txt", "../bundle/replay.json", MANIFEST):
        message = refusal(lambda name=name: bundle.read(name))
        assert message == f"{bundle.directory}: the manifest knows no file {name!r}"


def test_a_directory_without_a_manifest_is_no_bundle(tmp_path: Path) -> None:
    for directory in (tmp_path, tmp_path / "none"):
        message = refusal(lambda directory=directory: open_bundle(directory))
        assert message.startswith(f"{directory} is not a bundle: cannot read {MANIFEST}: No such file or directory")


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"null", b"[]", b"3", b'"x"', b"\xff\xfe", b"{}", b"[" * 100_000],
    ids=["empty", "cut", "null", "list", "number", "text", "bytes", "no fields", "deep"],
)
def test_a_manifest_that_is_none_is_refused(bundle: Bundle, content: bytes) -> None:
    (bundle.directory / MANIFEST).write_bytes(content)

    message = refusal(lambda: open_bundle(bundle.directory))

    assert message.startswith(f"{bundle.directory}: {MANIFEST} is not a bundle's manifest")


@pytest.mark.parametrize(
    "lacking",
    [
        "name",
        "model",
        "signature",
        "leaderboard",
        "metrics",
        "data",
        "python",
        "plugins",
        "libraries",
        "requirements",
        "files",
        PIPELINE,
    ],
)
def test_a_manifest_that_lacks_something_is_refused_and_the_message_names_it(bundle: Bundle, lacking: str) -> None:
    manifest = json.loads((bundle.directory / MANIFEST).read_bytes())
    del (manifest["files"] if lacking == PIPELINE else manifest)[lacking]
    (bundle.directory / MANIFEST).write_text(json.dumps(manifest))

    message = refusal(lambda: open_bundle(bundle.directory))

    assert message.startswith(f"{bundle.directory}: {MANIFEST} ")
    assert lacking in message.removeprefix(str(bundle.directory))


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/b", "..", ".hidden", "", "a\0b", "a\n", "ü"])
def test_a_manifest_that_names_a_file_outside_is_refused_by_that_name(bundle: Bundle, name: str) -> None:
    (bundle.directory.parent / "x").write_bytes(b"outside")
    rewrite(bundle, files={**bundle.manifest["files"], name: describe(b"outside")})

    message = refusal(lambda: open_bundle(bundle.directory))

    assert message.startswith(f"{bundle.directory}: {MANIFEST} ")
    assert repr(name) in message


@pytest.mark.parametrize(
    ("other", "remedy"),
    [
        (1, "it was made by an older Pegboard: train again"),
        (0, "it was made by an older Pegboard: train again"),
        (3, "upgrade Pegboard"),
        (None, "upgrade Pegboard"),
    ],
)
def test_a_manifest_of_another_format_is_refused_with_what_helps(bundle: Bundle, other: Any, remedy: str) -> None:
    (bundle.directory / MANIFEST).write_text(json.dumps({"format": other, "what": "nobody here knows"}))

    message = refusal(lambda: open_bundle(bundle.directory))

    assert message == f"{bundle.directory} has format {other}; this Pegboard reads format 2: {remedy}"


def test_a_pipeline_of_another_scikit_learn_is_refused_with_the_command_that_helps(bundle: Bundle) -> None:
    rewrite(bundle, requirements=needing(replace(SKLEARN, version="1.5.2")))
    opened = open_bundle(bundle.directory)

    verify(opened)
    assert refusal(opened.pipeline) == (
        f"{bundle.directory} needs scikit-learn 1.5.2, and {sklearn.__version__} is installed: "
        "pip install scikit-learn==1.5.2, or train again"
    )


@pytest.mark.parametrize(
    ("file", "content", "remedy"),
    [
        ("notes.txt", b"", "remove"),
        (REPLAY, b"", "restore it from a copy, or train again"),
        (REPLAY, None, "restore it from a copy, or train again"),
        (MANIFEST, b"{", "restore it from a copy, or train again"),
        (MANIFEST, b'{"format": 2}', "restore it from a copy, or train again"),
        (MANIFEST, b'{"format": 3}', "upgrade Pegboard"),
    ],
    ids=["extra", "altered", "missing", "no JSON", "no fields", "future"],
)
def test_a_refusal_says_what_to_do(bundle: Bundle, file: str, content: bytes | None, remedy: str) -> None:
    path = bundle.directory / file
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    assert remedy in refusal(lambda: verify(open_bundle(bundle.directory)))
