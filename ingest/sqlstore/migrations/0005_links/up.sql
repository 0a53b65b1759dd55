CREATE TABLE ingest_links (
	number    BIGINT NOT NULL PRIMARY KEY,
	source    TEXT   NOT NULL,
	person_id TEXT   NOT NULL,
	to_source TEXT   NOT NULL,
	to_id     TEXT   NOT NULL,
	linked_at BIGINT NOT NULL,
	linked_by TEXT   NOT NULL
);
