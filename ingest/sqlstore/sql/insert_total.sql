-- Enter what a source said of a day, beside what was read.
INSERT INTO ingest_totals (import_id, day, kind, rows_told, rows_read, yen_told, yen_read)
VALUES ($1, $2, $3, $4, $5, $6, $7)
