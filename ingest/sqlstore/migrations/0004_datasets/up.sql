ALTER TABLE ingest_segments ADD COLUMN dataset TEXT NOT NULL DEFAULT 'payment';
ALTER TABLE ingest_imports ADD COLUMN dataset TEXT NOT NULL DEFAULT 'payment';
ALTER TABLE ingest_imports ADD COLUMN continues TEXT NOT NULL DEFAULT '';
ALTER TABLE ingest_imports ADD COLUMN ahead_us BIGINT NOT NULL DEFAULT 0;

CREATE TABLE ingest_days (
	import_id   TEXT   NOT NULL,
	day         TEXT   NOT NULL,
	kind        TEXT   NOT NULL,
	row_count   BIGINT NOT NULL,
	amount_yen  BIGINT NOT NULL,
	PRIMARY KEY (import_id, day, kind)
);

CREATE TABLE ingest_totals (
	import_id   TEXT   NOT NULL,
	day         TEXT   NOT NULL,
	kind        TEXT   NOT NULL,
	rows_told   BIGINT NOT NULL,
	rows_read   BIGINT NOT NULL,
	yen_told    BIGINT,
	yen_read    BIGINT,
	PRIMARY KEY (import_id, day, kind)
);

CREATE TABLE ingest_quarantine (
	import_id   TEXT   NOT NULL PRIMARY KEY,
	source      TEXT   NOT NULL,
	dataset     TEXT   NOT NULL,
	file        TEXT   NOT NULL,
	row_count   BIGINT NOT NULL,
	opened_at   BIGINT NOT NULL,
	state       TEXT   NOT NULL CHECK (state IN ('open', 'retried', 'discarded')),
	layout      TEXT   NOT NULL,
	changed_at  BIGINT,
	changed_by  TEXT   NOT NULL,
	reason      TEXT   NOT NULL CHECK (state <> 'discarded' OR reason <> ''),
	retried_as  TEXT   NOT NULL
);

CREATE TABLE ingest_checkpoints (
	source      TEXT   NOT NULL,
	file        TEXT   NOT NULL,
	import_id   TEXT   NOT NULL,
	layout      TEXT   NOT NULL,
	position    BIGINT NOT NULL,
	hash        BIGINT NOT NULL,
	line        BIGINT NOT NULL,
	row_count   BIGINT NOT NULL,
	pending     TEXT   NOT NULL,
	days        TEXT   NOT NULL,
	PRIMARY KEY (source, file)
);
