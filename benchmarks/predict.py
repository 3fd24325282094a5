"""What ``pegboard predict`` costs beside the least that one could write: ``python benchmarks/predict.py``.

It trains a model on Ames house prices, draws a table of a million rows from them, and scores that table in fresh
processes, in turns with a reference that does the same work without any check: read a chunk with pandas or pyarrow, ask
the fitted pipeline, write. It reports the median of the paired ratios of the times, and the peak memory of both.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CHUNK = 50_000
NAME = "house-prices"


def main() -> None:
    """Measure and report."""
    options = parsed()
    if options.reference:
        return reference(*options.reference)
    with tempfile.TemporaryDirectory(prefix="pegboard-benchmark-") as scratch:
        results = measured(options, Path(scratch))
    if options.json:
        print(json.dumps({"rows": options.rows, "model": options.model, "results": results}, indent=1))
        return None
    print(f"{options.rows:,} rows, {options.model}, {options.pairs} pairs, chunks of {CHUNK:,}")
    for file, found in results.items():
        ours, theirs = found["pegboard"], found["reference"]
        print(
            f"{file:<8} ratio {found['ratio']:.2f}   pegboard {ours['seconds']:.1f} s, {ours['peak_mib']:.0f} MiB"
            f"   reference {theirs['seconds']:.1f} s, {theirs['peak_mib']:.0f} MiB"
        )
    return None


def parsed() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--model", default="linear-regression")
    parser.add_argument("--json", action="store_true", help="write JSON for machines")
    parser.add_argument("--reference", nargs=3, metavar=("REGISTRY", "IN", "OUT"), help=argparse.SUPPRESS)
    return parser.parse_args()


def measured(options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Return, for each kind of file, the median ratio and what both sides took."""
    registry = str(scratch / "registry")
    train = ["train", "--source", NAME, "--model", options.model, "--folds", "2", "--registry", registry]
    subprocess.run([sys.executable, "-m", "pegboard", *train], check=True, capture_output=True)
    write_tables(scratch, options.rows)
    results = {}
    for suffix in (".csv", ".parquet"):
        source, ours, theirs = (str(scratch / f"{name}{suffix}") for name in ("in", "ours", "theirs"))
        predict = ["-m", "pegboard", "predict", source, ours, "--registry", registry, "--model", NAME]
        sides = {"pegboard": predict, "reference": [__file__, "--reference", registry, source, theirs]}
        pairs = [{side: run(command) for side, command in sides.items()} for _ in range(options.pairs)]
        results[suffix] = summary(pairs)
    return results


def write_tables(scratch: Path, rows: int) -> None:
    """Draw rows from the source's table, number them, and write them in both formats."""
    from pegboard import SourceSpec
    from pegboard.catalog import Catalog
    from pegboard.manager import load_plugins

    source = Catalog(load_plugins()).get(SourceSpec, NAME)
    frame = source.load().drop(columns=source.target).sample(rows, replace=True, random_state=0, ignore_index=True)
    frame[source.keys[0]] = range(1, rows + 1)
    frame.to_csv(scratch / "in.csv", index=False)
    frame.to_parquet(scratch / "in.parquet", index=False)


def run(command: list[str]) -> tuple[float, float]:
    """Run a Python process and return its seconds and its peak memory in MiB."""
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, *command], stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"failed: {' '.join(command)}")
    return seconds, usage.ru_maxrss / 1024


def summary(pairs: list[dict[str, tuple[float, float]]]) -> dict[str, Any]:
    """Return the median of the paired ratios, and each side's median seconds and largest peak."""
    ratios = [pair["pegboard"][0] / pair["reference"][0] for pair in pairs]
    sides = {
        side: {
            "seconds": statistics.median(pair[side][0] for pair in pairs),
            "peak_mib": max(pair[side][1] for pair in pairs),
        }
        for side in pairs[0]
    }
    return {"ratio": statistics.median(ratios), "ratios": ratios, **sides}


def reference(registry: str, source: str, target: str) -> None:
    """Score a file without a check, chunk by chunk."""
    from pegboard.registry import Registry

    found = Registry(registry)
    bundle = found.open(found.resolve(NAME))
    pipeline, signature = bundle.pipeline(), bundle.signature
    features, key = [feature.name for feature in signature.features], signature.keys[0]
    texts = [feature.name for feature in signature.features if feature.kind == "category"]
    chunks = csv_chunks if source.endswith(".csv") else parquet_chunks
    scored = ((chunk[key], pipeline.predict(chunk[features])) for chunk in chunks(source, texts, key))
    (write_csv if target.endswith(".csv") else write_parquet)(scored, target, key)


def csv_chunks(source: str, texts: list[str], key: str) -> Iterator[Any]:
    """Read with pandas."""
    import pandas as pd

    dtype: Any = {key: "string", **dict.fromkeys(texts, object)}
    yield from pd.read_csv(source, chunksize=CHUNK, dtype=dtype)


def parquet_chunks(source: str, texts: list[str], _: str) -> Iterator[Any]:
    """Read with pyarrow."""
    from pyarrow import parquet

    with parquet.ParquetFile(source) as file:
        for batch in file.iter_batches(CHUNK):
            yield batch.to_pandas().astype(dict.fromkeys(texts, object))


def write_csv(scored: Iterator[tuple[Any, Any]], target: str, key: str) -> None:
    """Write with pandas."""
    import pandas as pd

    with open(target, "w", encoding="utf-8", newline="") as file:
        for number, (keys, values) in enumerate(scored):
            pd.DataFrame({key: keys, "prediction": values}).to_csv(file, index=False, header=number == 0)


def write_parquet(scored: Iterator[tuple[Any, Any]], target: str, key: str) -> None:
    """Write with pyarrow."""
    import pyarrow as pa
    from pyarrow import parquet

    writer = None
    for keys, values in scored:
        table = pa.table({key: keys, "prediction": values})
        writer = writer or parquet.ParquetWriter(target, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


if __name__ == "__main__":
    main()
