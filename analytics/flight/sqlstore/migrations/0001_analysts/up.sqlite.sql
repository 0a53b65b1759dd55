CREATE TABLE analyst_grants (
	id            TEXT   NOT NULL PRIMARY KEY,
	name          TEXT   NOT NULL,
	organisation  TEXT   NOT NULL,
	basis         TEXT   NOT NULL CHECK (basis IN ('contract', 'joint_use')),
	purpose       TEXT   NOT NULL CHECK (purpose <> ''),
	tables        TEXT   NOT NULL,
	token_digest  TEXT   NOT NULL UNIQUE,
	created_at    BIGINT NOT NULL,
	begins_at     BIGINT NOT NULL,
	ends_at       BIGINT NOT NULL CHECK (ends_at > begins_at),
	revoked_at    BIGINT NOT NULL
);

CREATE TABLE analyst_log (
	number        INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	at            BIGINT NOT NULL,
	kind          TEXT   NOT NULL,
	grant_id      TEXT   NOT NULL,
	who           TEXT   NOT NULL,
	basis         TEXT   NOT NULL,
	purpose       TEXT   NOT NULL,
	session_id    TEXT   NOT NULL,
	statement_id  TEXT   NOT NULL,
	statement     TEXT   NOT NULL,
	parameters    TEXT   NOT NULL,
	snapshot      BIGINT NOT NULL,
	row_count     BIGINT NOT NULL,
	byte_count    BIGINT NOT NULL,
	took_us       BIGINT NOT NULL,
	outcome       TEXT   NOT NULL,
	client        TEXT   NOT NULL,
	recipient     TEXT   NOT NULL,
	file          TEXT   NOT NULL,
	sha256        TEXT   NOT NULL
);

CREATE INDEX analyst_log_grant ON analyst_log (grant_id, number);

CREATE TRIGGER analyst_log_keep_update BEFORE UPDATE ON analyst_log
	BEGIN SELECT RAISE(ABORT, 'the log is never changed'); END;
CREATE TRIGGER analyst_log_keep_delete BEFORE DELETE ON analyst_log
	BEGIN SELECT RAISE(ABORT, 'the log is never deleted'); END;
