-- Let one writer at a time choose a segment's number and write its file.
-- SQLite has one writer at a time anyway.
LOCK TABLE ingest_segments IN EXCLUSIVE MODE
