-- Enter a quarantine file, or its number of rows.
INSERT INTO ingest_quarantine (import_id, source, dataset, file, row_count, opened_at, state, layout,
	changed_by, reason, retried_as)
VALUES ($1, $2, $3, $4, $5, $6, 'open', $7, '', '', '')
ON CONFLICT (import_id) DO UPDATE SET row_count = excluded.row_count
