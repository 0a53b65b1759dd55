-- Which runs of identities count?
SELECT file, entry_count, byte_count
FROM ingest_runs
ORDER BY file
