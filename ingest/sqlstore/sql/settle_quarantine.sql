-- End an open quarantine file.
UPDATE ingest_quarantine SET state = $1, changed_at = $2, changed_by = $3, reason = $4, retried_as = $5
WHERE import_id = $6 AND state = 'open'
