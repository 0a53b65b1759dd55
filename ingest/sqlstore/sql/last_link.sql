-- Which number has the last link?
SELECT COALESCE(MAX(number), 0) FROM ingest_links
