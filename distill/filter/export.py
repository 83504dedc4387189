"""The kept rows as a data set: Parquet shards and a dataset card.

    write_dataset(run.kept, run.dataset, rows=5914, source=problems.source, card=text)
    datasets.load_dataset("run/dataset", split="train")      # messages, problem_id, series, ...

The same kept.jsonl gives the same bytes (with the same pyarrow). The folder is replaced as a whole.

Memory: `GROUP` rows at a time.
"""

import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from distill import jsonl
from distill.errors import missing_extra
from distill.types import Example

SHARD = 20_000  # rows a file; 32k-token traces are about 100 KB each, zstd leaves a third
GROUP = 500  # rows in memory and in one row group

CARD_HEAD = """---
configs:
- config_name: default
  data_files:
  - split: train
    path: data/train-*.parquet
tags:
- distill
- reasoning
---
"""


def require_pyarrow() -> None:
    """Raise, before the work starts, if the Parquet files cannot be written after it."""
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise missing_extra("writing dataset/", "data") from None


def write_dataset(
    kept: Path, folder: Path, *, rows: int, source: Callable[[str], str], card: str
) -> None:
    """Make ``folder`` from ``kept`` (``rows`` of them), in place of what it held before."""
    fresh = folder.with_name(folder.name + ".tmp")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        (fresh / "data").mkdir(parents=True)
        examples = jsonl.read(kept, Example)
        shards = max(1, -(-rows // SHARD))
        for shard in range(shards):
            name = f"train-{shard:05}-of-{shards:05}.parquet"
            _write_shard(fresh / "data" / name, itertools.islice(examples, SHARD), source)
        jsonl.write_bytes(fresh / "README.md", (CARD_HEAD + card).encode())
        jsonl.sync_folder(fresh / "data")
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(fresh, folder)
        jsonl.sync_folder(folder.parent)
    except OSError as error:
        raise jsonl.disk_error(folder, error) from None


def _write_shard(path: Path, examples: Iterator[Example], source: Callable[[str], str]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    message = pa.struct([("role", pa.string()), ("content", pa.string())])
    schema = pa.schema(
        [
            ("messages", pa.list_(message)),
            ("problem_id", pa.string()),
            ("series", pa.string()),
            ("sample", pa.int64()),
            ("source", pa.string()),
            ("tokens", pa.int64()),
        ]
    )
    with path.open("wb") as file:
        with pq.ParquetWriter(file, schema, compression="zstd") as writer:
            while group := list(itertools.islice(examples, GROUP)):
                columns = [_columns(example, source) for example in group]
                writer.write_table(pa.Table.from_pylist(columns, schema=schema))
        file.flush()
        os.fsync(file.fileno())


def _columns(example: Example, source: Callable[[str], str]) -> dict[str, object]:
    return {
        "messages": [{"role": m.role, "content": m.content} for m in example.messages],
        "problem_id": example.problem_id,
        "series": example.series,
        "sample": example.sample,
        "source": source(example.problem_id),
        "tokens": example.tokens,
    }
