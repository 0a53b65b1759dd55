CREATE TABLE ingest_corrections (
	number       BIGINT NOT NULL PRIMARY KEY,
	source       TEXT   NOT NULL,
	person_id    TEXT   NOT NULL,
	field        TEXT   NOT NULL,
	old_value    TEXT   NOT NULL,
	new_value    TEXT   NOT NULL,
	request      TEXT   NOT NULL,
	reason       TEXT   NOT NULL,
	corrected_at BIGINT NOT NULL,
	corrected_by TEXT   NOT NULL
);
