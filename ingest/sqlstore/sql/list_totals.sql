-- What did the source of an import say of each day?
SELECT day, kind, rows_told, rows_read, yen_told, yen_read FROM ingest_totals WHERE import_id = $1 ORDER BY day, kind
