CREATE TABLE ingest_segments_new (
	number      BIGINT NOT NULL PRIMARY KEY,
	file        TEXT   NOT NULL UNIQUE,
	import_id   TEXT   NOT NULL,
	row_count   BIGINT NOT NULL CHECK (row_count >= 0),
	amount_yen  BIGINT NOT NULL,
	first_at    BIGINT NOT NULL,
	last_at     BIGINT NOT NULL,
	byte_count  BIGINT NOT NULL,
	dataset     TEXT   NOT NULL DEFAULT 'payment'
);
INSERT INTO ingest_segments_new (number, file, import_id, row_count, amount_yen, first_at, last_at, byte_count, dataset)
SELECT number, file, import_id, row_count, amount_yen, first_at, last_at, byte_count, dataset FROM ingest_segments;
DROP TABLE ingest_segments;
ALTER TABLE ingest_segments_new RENAME TO ingest_segments;
