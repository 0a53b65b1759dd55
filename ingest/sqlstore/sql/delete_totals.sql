-- Forget what a source said of an import, before it is entered anew.
DELETE FROM ingest_totals WHERE import_id = $1
