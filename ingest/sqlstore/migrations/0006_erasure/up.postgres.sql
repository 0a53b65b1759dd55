ALTER TABLE ingest_segments DROP CONSTRAINT ingest_segments_row_count_check;
ALTER TABLE ingest_segments ADD CONSTRAINT ingest_segments_row_count_check CHECK (row_count >= 0);
