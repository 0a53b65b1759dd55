-- Register a segment.
INSERT INTO ingest_segments (number, file, import_id, row_count, amount_yen, first_at, last_at, byte_count, dataset)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
