"""The steps of the pipeline as somebody writes them with pandas or Polars.

Read the CSV, check fields, drop duplicates, join persons, give each person a
keyed pseudonym, sort by shop and time, and write a Parquet file for each month.
All rows are in memory; records get no pseudonyms; nothing goes on after a crash.
"""

import hashlib
import hmac
import os
import sys

USED = ["tranId", "operationType", "serviceId", "serviceType", "shopId", "merchantId", "uid", "amount", "targetTranId", "createdAt"]
KEY = bytes(range(32))


def pseudonym(uid):
    return hmac.new(KEY, b"person\0resident\0mitaka\x1f" + uid.encode(), hashlib.sha256).digest()[:16]


def with_pandas(file, persons, out, rows):
    import pandas as pd

    d = pd.read_csv(file, usecols=USED, nrows=rows, dtype={c: "str" for c in USED if c != "amount"})
    at = pd.to_datetime(d["createdAt"], format="%Y/%m/%d %H:%M:%S", errors="coerce")
    good = (d["tranId"].notna() & d["shopId"].notna() & d["amount"].between(0, 10**12) & at.notna()
            & ((d["operationType"] != "CANCEL") | d["targetTranId"].notna()))
    d = d[good].assign(occurred_local=at[good]).drop(columns="createdAt")
    d = d.drop_duplicates("tranId")
    people = pd.read_csv(persons, dtype="str")
    d = d.merge(people, on="uid", how="left")
    ids = d["uid"].dropna().unique()
    tokens = pd.Series([pseudonym(i) for i in ids], index=ids)
    d["person_token"] = d["uid"].map(tokens)
    d = d.drop(columns=["uid", "tranId", "targetTranId", "born_on"])
    d = d.sort_values(["shopId", "occurred_local"])
    for month, part in d.groupby(d["occurred_local"].dt.strftime("%Y-%m")):
        part.to_parquet(os.path.join(out, month + ".parquet"), compression="zstd", compression_level=1, index=False)
    return len(d)


def with_polars(file, persons, out, rows):
    import polars as pl

    d = (pl.scan_csv(file, n_rows=rows, schema_overrides={c: pl.String for c in USED if c != "amount"}).select(USED)
         .with_columns(pl.col("createdAt").str.to_datetime("%Y/%m/%d %H:%M:%S", strict=False).alias("occurred_local"))
         .filter(pl.col("tranId").is_not_null() & pl.col("shopId").is_not_null() & pl.col("amount").is_between(0, 10**12)
                 & pl.col("occurred_local").is_not_null()
                 & ((pl.col("operationType") != "CANCEL") | pl.col("targetTranId").is_not_null()))
         .drop("createdAt").unique("tranId", keep="any").collect())
    ids = d["uid"].drop_nulls().unique().to_list()
    tokens = pl.DataFrame({"uid": ids, "person_token": [pseudonym(i) for i in ids]})
    d = (d.lazy().join(pl.scan_csv(persons, infer_schema=False), on="uid", how="left").join(tokens.lazy(), on="uid", how="left")
         .drop("uid", "tranId", "targetTranId", "born_on").sort("shopId", "occurred_local").collect())
    for part in d.with_columns(pl.col("occurred_local").dt.strftime("%Y-%m").alias("month")).partition_by("month", include_key=False):
        part.write_parquet(os.path.join(out, part["occurred_local"][0].strftime("%Y-%m") + ".parquet"), compression="zstd", compression_level=1)
    return len(d)


if __name__ == "__main__":
    library, file, persons, out, rows = sys.argv[1:]
    os.mkdir(out)
    made = {"pandas": with_pandas, "polars": with_polars}[library](file, persons, out, int(rows))
    if made != int(rows):
        sys.exit(f"{made} rows came out of {rows}")
