-- Which quarantine files were there?
SELECT import_id, source, dataset, file, row_count, opened_at, state, layout, changed_at, changed_by, reason, retried_as
FROM ingest_quarantine
ORDER BY opened_at, import_id
