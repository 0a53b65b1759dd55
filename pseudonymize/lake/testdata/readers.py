"""Reads a lake with what analysts have, and says what each finds as JSON lines."""

import json
import pathlib
import re
import sys
import warnings

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

warnings.simplefilter("ignore")
manifest = json.loads(pathlib.Path("lake/manifest.json").read_text())
tables = json.loads(sys.argv[1])  # table: [number, token, text that came later]


def say(tool, table, month, rows, total, tokens, added, latest):
    print(json.dumps({"key": f"{tool} {table} {month}", "value": f"{rows} {int(total)} {tokens} {added} {latest}"}))


for table, (number, token, added) in tables.items():
    files = ["lake/" + f["path"] for f in manifest["files"] if f["table"] == table]

    query = f"""SELECT strftime(occurred_on, '%Y-%m'), count(*), sum({number}), count(DISTINCT {token}), count({added}),
                       strftime(max(occurred_local), '%Y-%m-%dT%H:%M')
                FROM read_parquet({files}, union_by_name = true, hive_partitioning = false) GROUP BY 1"""
    for row in duckdb.sql(query).fetchall():
        say("duckdb", table, *row)

    frame = pd.concat([pd.read_parquet(f, partitioning=None) for f in files])
    for month, g in frame.groupby(frame.occurred_on.map(lambda d: d.strftime("%Y-%m"))):
        say("pandas", table, month, len(g), g[number].sum(), g[token].nunique(), g[added].count(),
            g.occurred_local.max().strftime("%Y-%m-%dT%H:%M"))

    whole = pa.concat_tables([pq.read_table(f, partitioning=None) for f in files], promote_options="default")
    whole = whole.append_column("month", pc.strftime(whole["occurred_on"].cast(pa.timestamp("s")), format="%Y-%m"))
    for month in pc.unique(whole["month"]).to_pylist():
        g = whole.filter(pc.field("month") == month)
        say("pyarrow", table, month, g.num_rows, pc.sum(g[number]).as_py(), pc.count_distinct(g[token]).as_py(), pc.count(g[added]).as_py(),
            pc.max(g["occurred_local"]).as_py().strftime("%Y-%m-%dT%H:%M"))

    lazy = pl.concat([pl.scan_parquet(f, hive_partitioning=False) for f in files], how="diagonal_relaxed")
    grouped = lazy.group_by(pl.col("occurred_on").dt.strftime("%Y-%m").alias("month")).agg(
        pl.len().alias("n"), pl.col(number).sum().alias("sum"), pl.col(token).drop_nulls().n_unique().alias("tokens"),
        pl.col(added).count().alias("added"), pl.col("occurred_local").max().dt.strftime("%Y-%m-%dT%H:%M").alias("latest"))
    for row in grouped.collect().iter_rows():
        say("polars", table, *row)

# The examples of the document, as they stand there.
document = pathlib.Path(sys.argv[2]).read_text()


def example(after, language):
    return re.search(re.escape(after) + rf"\n+```{language}\n(.*?)```", document, re.S).group(1)


print(json.dumps({"key": "label", "value": pq.read_schema("lake/" + manifest["files"][0]["path"]).metadata[b"label"].decode()}))
connection = duckdb.connect()
connection.execute(example("### DuckDB", "sql"))
row = connection.execute("SELECT count(*), sum(payments), sum(net_yen) FROM (" + example("<!-- visits -->", "sql") + ")").fetchone()
print(json.dumps({"key": "visits", "value": " ".join(str(int(v)) for v in row)}))
print(json.dumps({"key": "DuckDB", "value": str(connection.execute("SELECT count(*) FROM payments").fetchone()[0])}))
for title, size in (("### pandas・pyarrow", lambda names: len(names["frame"])),
                    ("### Polars", lambda names: names["payments"].collect().height)):
    names = {}
    exec(example(title, "python"), names)
    print(json.dumps({"key": title[4:], "value": str(size(names))}))
