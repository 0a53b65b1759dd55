-- Enter an import, or its later state.
INSERT INTO ingest_imports (import_id, source, file, started_at, finished_at,
	rows_read, rows_accepted, rows_duplicate, rows_quarantined, byte_count, dataset, continues, ahead_us)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
ON CONFLICT (import_id) DO UPDATE SET
	finished_at = excluded.finished_at, rows_read = excluded.rows_read, rows_accepted = excluded.rows_accepted,
	rows_duplicate = excluded.rows_duplicate, rows_quarantined = excluded.rows_quarantined,
	byte_count = excluded.byte_count, continues = excluded.continues, ahead_us = excluded.ahead_us
