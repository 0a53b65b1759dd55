CREATE TABLE ingest_runs (
	file        TEXT   NOT NULL PRIMARY KEY,
	entry_count BIGINT NOT NULL CHECK (entry_count > 0),
	byte_count  BIGINT NOT NULL
);

DROP TABLE ingest_seen;
