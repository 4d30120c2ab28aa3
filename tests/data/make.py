"""Writes the Parquet files beside it, as other programs write them, and what is in them as JSON lines.

    pip install pyarrow==26.0.1
    python make.py

Codecs, page versions, dictionaries, row groups, nested and legacy lists, maps, nulls at every level, dates and decimals.
"""

import datetime
import decimal
import json
import pathlib

import pyarrow as pa
import pyarrow.parquet as pq

here = pathlib.Path(__file__).parent

turn = pa.struct([("role", pa.string()), ("content", pa.string())])
pairs = [
    {
        "prompt": f"question {n}",
        "chosen": [{"role": "user", "content": f"question {n}"}, {"role": "assistant", "content": f"good {n} é😀"}],
        "rejected": [{"role": "user", "content": f"question {n}"}, {"role": "assistant", "content": f"bad {n}"}],
        "score": n / 4,
        "n": n - 3,
        "label": n % 3 == 0 if n % 5 else None,
    }
    for n in range(23)
]
schema = pa.schema(
    [
        ("prompt", pa.string()),
        ("chosen", pa.list_(turn)),
        ("rejected", pa.list_(turn)),
        ("score", pa.float64()),
        ("n", pa.int64()),
        ("label", pa.bool_()),
    ]
)


def lines(name, rows):
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (here / name).write_text(text, encoding="utf-8")


def main():
    lines("pairs.jsonl", pairs)
    table = pa.Table.from_pylist(pairs, schema=schema)
    for codec in ["none", "snappy", "zstd", "gzip", "lz4"]:
        pq.write_table(table, here / f"pairs-{codec}.parquet", compression=codec, row_group_size=10)
    pq.write_table(table, here / "pairs-v2.parquet", version="2.6", data_page_version="2.0", use_dictionary=False)
    pq.write_table(table, here / "pairs-legacy.parquet", use_compliant_nested_type=False, data_page_size=64)
    pq.write_table(table, here / "pairs-brotli.parquet", compression="brotli")
    pq.write_table(table.slice(0, 0), here / "no-rows.parquet")

    odd = [
        {"i8": -1, "u8": 255, "u32": 4294967295, "f32": 0.5, "f16": 1.5, "day": datetime.date(2024, 2, 29), "price": decimal.Decimal("12.50"),
         "text": "a", "bytes": b"plain", "tags": ["x", None, "z"], "deep": [[{"a": 1}], [], None], "map": {"k": 1, "l": None},
         "when": datetime.datetime(2024, 2, 29, 12, 30), "word": "red"},
        {"i8": None, "u8": 0, "u32": 0, "f32": None, "f16": None, "day": None, "price": None,
         "text": None, "bytes": None, "tags": [], "deep": None, "map": {}, "when": None, "word": "red"},
        {"i8": 127, "u8": 1, "u32": 1, "f32": -2.0, "f16": 0.0, "day": datetime.date(1970, 1, 1), "price": decimal.Decimal("-0.01"),
         "text": "", "bytes": "é".encode(), "tags": None, "deep": [[None, {"a": None}]], "map": None,
         "when": datetime.datetime(1970, 1, 1), "word": "blue"},
    ]  # fmt: skip
    types = pa.schema(
        [
            ("i8", pa.int8()), ("u8", pa.uint8()), ("u32", pa.uint32()), ("f32", pa.float32()), ("f16", pa.float16()), ("day", pa.date32()),
            ("price", pa.decimal128(9, 2)), ("text", pa.large_string()), ("bytes", pa.binary()), ("tags", pa.list_(pa.string())),
            ("deep", pa.list_(pa.list_(pa.struct([("a", pa.int32())])))), ("map", pa.map_(pa.string(), pa.int64())),
            ("when", pa.timestamp("ms")), ("word", pa.dictionary(pa.int8(), pa.string())),
        ]
    )  # fmt: skip
    pq.write_table(pa.Table.from_pylist(odd, schema=types), here / "odd.parquet")
    told = [{key: value for key, value in row.items() if key not in ("day", "when", "bytes", "price")} for row in odd]
    for row, back in zip(told, odd):
        row["map"] = None if back["map"] is None else dict(back["map"])
        row["price"] = None if back["price"] is None else float(back["price"])
        row["bytes"] = None if back["bytes"] is None else back["bytes"].decode()
        row["day"] = None if back["day"] is None else back["day"].isoformat()
    lines("odd.jsonl", told)

    nan = pa.table({"score": [1.0, float("nan")]})
    pq.write_table(nan, here / "nan.parquet")
    pq.write_table(pa.table({"text": ["a"], "raw": pa.array([b"\xff\xfe"], pa.binary())}), here / "bytes.parquet")
    pq.write_table(pa.table({"text": ["a", "b"], "at": pa.array([1, 2], pa.time64("ns"))}), here / "nanoseconds.parquet")


main()
