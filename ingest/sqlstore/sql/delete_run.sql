-- A run that was merged into another counts no more.
DELETE FROM ingest_runs WHERE file = $1
