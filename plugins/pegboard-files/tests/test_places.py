"""Where files are: globs, buckets, the web, and secrets in their addresses."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pegboard import DataError, PegboardError
from pegboard.errors import ConfigError
from pegboard_files import buckets

Load = Callable[..., pd.DataFrame]
ONE, TWO = b"x,y\n1.5,1\n", b"y,x\n2,2.5\n"


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_a_glob_and_a_list_put_files_together_by_their_columns_names(loaded: Load, tmp_path: Path) -> None:
    (tmp_path / "2.csv").write_bytes(TWO)
    (tmp_path / "1.csv").write_bytes(ONE)
    for path in ("*.csv", ["1.csv", "2.csv"], "**/[12].csv", f"file://{tmp_path}/?.csv"):
        frame = loaded(path=path)
        assert frame.to_dict("list") == {"x": [1.5, 2.5], "y": [1, 2]}


def test_the_origin_has_names_sizes_and_digests(loaded: Load, tmp_path: Path) -> None:
    assert loaded(ONE, "1.csv").attrs["origin"] == f"1.csv (10 bytes, sha256:{digest(ONE)})"
    (tmp_path / "2.csv").write_bytes(TWO)
    lines = f"{digest(ONE)}  1.csv\n{digest(TWO)}  2.csv\n"
    assert loaded(path="?.csv").attrs["origin"] == (
        f"2 files: 1.csv, 2.csv (20 bytes, sha256 of their sha256sum lines:{digest(lines.encode())})"
    )
    for name in ("3.csv", "4.csv"):
        (tmp_path / name).write_bytes(ONE)
    assert loaded(path="?.csv").attrs["origin"].startswith("4 files: 1.csv, 2.csv, 3.csv, … (40 bytes")


def test_files_of_two_tables_are_refused_and_both_are_named(loaded: Load, tmp_path: Path) -> None:
    (tmp_path / "2.csv").write_bytes(b"x,y,z\n1,2,3\n")
    with pytest.raises(DataError, match=r"1.csv and 2.csv have other columns: 1.csv lacks 'z'.*drop"):
        loaded(ONE, "1.csv", path="*.csv")
    assert [*loaded(ONE, "1.csv", path="*.csv", drop=["z"])] == ["x", "y"]


def test_files_whose_types_do_not_agree_are_refused(loaded: Load, tmp_path: Path) -> None:
    (tmp_path / "2.jsonl").write_text('{"x":"a","y":1}\n')
    with pytest.raises(DataError, match=r"1.jsonl and the other 1 files do not agree: .*x"):
        loaded('{"x":1,"y":1}\n', "1.jsonl", path="*.jsonl")
    (tmp_path / "2.jsonl").write_text('{"x":2.5,"y":1}\n')
    assert loaded(path="*.jsonl")["x"].tolist() == [1.0, 2.5]


def test_kinds_are_found_in_all_files_together(loaded: Load, tmp_path: Path) -> None:
    (tmp_path / "2.csv").write_bytes(b"x,y\n007,1\n")
    assert loaded(b"x,y\n8,1\n", "1.csv", path="*.csv")["x"].tolist() == ["8", "007"]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("none.csv", "cannot read none.csv: No such file"),
        ("none*.csv", r"no file matches none\*.csv \(in "),
        (".", "is a directory: name its files"),
        ([], "say where the table is"),
    ],
)
def test_files_that_are_not_there_are_named(loaded: Load, path: Any, said: str) -> None:
    with pytest.raises(PegboardError, match=said):
        loaded(path=path)


def test_a_name_with_brackets_is_a_name_where_there_is_such_a_file(loaded: Load) -> None:
    assert len(loaded(ONE, "t[1].csv")) == 1


def test_the_limit_counts_all_files_together(loaded: Load, tmp_path: Path) -> None:
    (tmp_path / "2.csv").write_bytes(TWO)
    assert len(loaded(ONE, "1.csv", path="*.csv", max_bytes=20)) == 2
    with pytest.raises(DataError, match=r"2.csv: the files have more than 19 bytes together.*set max_bytes"):
        loaded(path="*.csv", max_bytes=19)


def test_objects_of_a_bucket_are_read_by_key_and_by_glob(loaded: Load, bucket: tuple[str, Any]) -> None:
    name, client = bucket
    for key, content in {"a/1.csv": ONE, "a/2.csv": TWO, "a/deep/3.csv": ONE, "a/4.txt": b"no"}.items():
        client.put_object(Bucket=name, Key=key, Body=content)
    frame = loaded(path=f"s3://{name}/a/1.csv")
    assert frame.attrs["origin"] == f"s3://{name}/a/1.csv (10 bytes, sha256:{digest(ONE)})"
    assert len(loaded(path=f"s3://{name}/a/*.csv")) == 2
    assert len(loaded(path=f"s3://{name}/**/*.csv")) == 3
    assert len(loaded(path=f"s3://{name}/a/[13].csv")) == 1


def test_a_bucket_of_more_than_a_page_of_keys_is_listed_whole(
    loaded: Load, bucket: tuple[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buckets, "PAGE", 2)
    name, client = bucket
    for key in ("1.txt", "2.txt", "3.txt", "4.txt", "5.csv"):
        client.put_object(Bucket=name, Key=key, Body=ONE)
    assert len(loaded(path=f"s3://{name}/*.csv")) == 1


@pytest.mark.parametrize(
    ("key", "said"),
    [("none.csv", "holds no none.csv"), ("none*.csv", r"no file matches s3://test-\w+/none\*.csv"), ("", "no object")],
)
def test_objects_that_are_not_there_are_named(loaded: Load, bucket: tuple[str, Any], key: str, said: str) -> None:
    with pytest.raises(PegboardError, match=said):
        loaded(path=f"s3://{bucket[0]}/{key}")


def test_a_bucket_that_is_not_there_is_named(loaded: Load, bucket: tuple[str, Any]) -> None:
    with pytest.raises(PegboardError, match=r"s3://not-there.*make the bucket, or correct its name"):
        loaded(path="s3://not-there/*.csv")


def test_a_url_is_read_and_recorded_without_its_query(loaded: Load, web: Any) -> None:
    web.answers["/t.csv?version=3"] = (200, ONE)
    frame = loaded(path=f"{web.url}/t.csv?version=3")
    assert frame.attrs["origin"] == f"{web.url}/t.csv (10 bytes, sha256:{digest(ONE)})"
    assert len(frame) == 1


@pytest.mark.parametrize(
    ("status", "said"),
    [(404, "no such file"), (403, "answers 403.*path_variable"), (500, "answers 500"), (299, "fails|no whole")],
)
def test_a_server_that_does_not_give_the_file_is_named(loaded: Load, web: Any, status: int, said: str) -> None:
    web.answers["/t.csv"] = (status, ONE * 1000)
    with pytest.raises(DataError, match=rf"{web.url}/t.csv: the server.*({said})"):
        loaded(path=f"{web.url}/t.csv")


def test_a_server_that_is_not_there_is_named(loaded: Load) -> None:
    with pytest.raises(DataError, match=r"http://127.0.0.1:1/t.csv: the server fails"):
        loaded(path="http://127.0.0.1:1/t.csv")


def test_a_large_answer_stops_at_the_limit(loaded: Load, web: Any) -> None:
    web.answers["/t.csv"] = (200, b"x,y\n" + b"1,1\n" * 10**6)
    with pytest.raises(DataError, match="more than 1,000 bytes together"):
        loaded(path=f"{web.url}/t.csv", max_bytes=1000)


def test_the_web_lists_no_files(loaded: Load) -> None:
    with pytest.raises(DataError, match="lists no files: name each"):
        loaded(path="https://example.com/*.csv")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("https://me:hunter2@example.com/t.csv", "user or password.*path_variable"),
        ("https://hunter2@example.com/t.csv", "user or password.*path_variable"),
        ("https://example.com/t.csv?token=hunter2", "'token' in the URL.*path_variable"),
        ("https://example.com/t.csv?X-Amz-Signature=hunter2", "'X-Amz-Signature' in the URL.*path_variable"),
        ("https://example.com/t.csv?sig=hunter2", "'sig' in the URL"),
        ("s3://AKIA:hunter2@bucket/t.csv", "credentials for S3: .*AWS_ACCESS_KEY_ID"),
    ],
)
def test_secrets_among_the_options_are_refused_and_not_repeated(loaded: Load, path: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as refused:
        loaded(path=path)
    assert "hunter2" not in str(refused.value)


def test_a_url_with_secrets_comes_from_the_environment_and_is_never_shown(
    loaded: Load, web: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"{web.url}/t.csv?token=hunter2".replace("://", "://me:hunter2@")
    monkeypatch.setenv("DATA_URL", url)
    web.answers["/t.csv?token=hunter2"] = (200, ONE)
    frame = loaded(path="", path_variable="DATA_URL")
    assert frame.attrs["origin"].startswith(f"{web.url}/t.csv (10 bytes")
    assert web.asked[-1][1].startswith("Basic ")
    for status in (404, 403, 299):
        web.answers["/t.csv?token=hunter2"] = (status, ONE)
        with pytest.raises(DataError) as refused:
            loaded(path="", path_variable="DATA_URL")
        assert "hunter2" not in f"{refused.value} {refused.value.__cause__}"


def test_a_variable_that_is_not_set_is_named(loaded: Load) -> None:
    with pytest.raises(ConfigError, match=r"'NOT_SET'.*is not set"):
        loaded(path="", path_variable="NOT_SET")


@pytest.mark.parametrize(
    ("module", "path", "command"),
    [("boto3", "s3://b/t.csv", "pegboard-files[s3]"), ("aiohttp", "https://h/t.csv", "pegboard-files[http]")],
)
def test_what_is_not_installed_is_named_with_the_command(
    loaded: Load, monkeypatch: pytest.MonkeyPatch, module: str, path: str, command: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(DataError) as refused:
        loaded(path=path)
    assert f"pip install '{command}'" in str(refused.value)
