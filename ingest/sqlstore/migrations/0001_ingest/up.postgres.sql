CREATE TABLE ingest_seen (
	record_key  BYTEA   NOT NULL PRIMARY KEY,
	content     BYTEA   NOT NULL,
	segment     BIGINT NOT NULL
);

CREATE TABLE ingest_segments (
	number      BIGINT NOT NULL PRIMARY KEY,
	file        TEXT   NOT NULL UNIQUE,
	import_id   TEXT   NOT NULL,
	row_count   BIGINT NOT NULL CHECK (row_count > 0),
	amount_yen  BIGINT NOT NULL,
	first_at    BIGINT NOT NULL,
	last_at     BIGINT NOT NULL,
	byte_count  BIGINT NOT NULL
);

CREATE TABLE ingest_imports (
	import_id        TEXT   NOT NULL PRIMARY KEY,
	source           TEXT   NOT NULL,
	file             TEXT   NOT NULL,
	started_at       BIGINT NOT NULL,
	finished_at      BIGINT,
	rows_read        BIGINT NOT NULL,
	rows_accepted    BIGINT NOT NULL,
	rows_duplicate   BIGINT NOT NULL,
	rows_quarantined BIGINT NOT NULL,
	byte_count       BIGINT NOT NULL
);

CREATE TABLE ingest_cursors (
	source      TEXT NOT NULL PRIMARY KEY,
	position    TEXT NOT NULL
);

CREATE TABLE ingest_persons (
	source      TEXT    NOT NULL,
	person_id   TEXT    NOT NULL,
	sex         TEXT    NOT NULL,
	born_on     TEXT    NOT NULL,
	area        TEXT    NOT NULL,
	consent_id  TEXT    NOT NULL,
	test        BOOLEAN NOT NULL,
	PRIMARY KEY (source, person_id)
);

CREATE TABLE ingest_shops (
	source      TEXT NOT NULL,
	shop_id     TEXT NOT NULL,
	name        TEXT NOT NULL,
	merchant    TEXT NOT NULL,
	industry    TEXT NOT NULL,
	area        TEXT NOT NULL,
	PRIMARY KEY (source, shop_id)
);
