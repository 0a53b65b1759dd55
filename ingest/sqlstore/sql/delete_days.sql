-- Forget an import's days, before they are entered anew.
DELETE FROM ingest_days WHERE import_id = $1
