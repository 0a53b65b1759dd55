-- Which segments are there?
SELECT number, file, import_id, row_count, amount_yen, first_at, last_at, byte_count, dataset
FROM ingest_segments
ORDER BY number
