-- Enter what an import read of a day.
INSERT INTO ingest_days (import_id, day, kind, row_count, amount_yen) VALUES ($1, $2, $3, $4, $5)
