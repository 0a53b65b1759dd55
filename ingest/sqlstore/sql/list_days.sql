-- What did an import read of each day?
SELECT day, kind, row_count, amount_yen FROM ingest_days WHERE import_id = $1 ORDER BY day, kind
