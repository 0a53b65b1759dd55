CREATE TABLE recipient_contracts (
	id            TEXT   NOT NULL PRIMARY KEY,
	reader        TEXT   NOT NULL,
	client        TEXT   NOT NULL,
	begins_at     BIGINT NOT NULL,
	terms_end_at  BIGINT NOT NULL CHECK (terms_end_at > begins_at),
	terms         TEXT   NOT NULL,
	created_at    BIGINT NOT NULL,
	ended_at      BIGINT NOT NULL
);

CREATE INDEX recipient_contracts_client ON recipient_contracts (client);

CREATE TABLE recipient_shops (
	client        TEXT   NOT NULL,
	shop          TEXT   NOT NULL,
	PRIMARY KEY (client, shop)
);

CREATE TABLE recipient_log (
	number        INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	at            BIGINT NOT NULL,
	contract_id   TEXT   NOT NULL,
	client        TEXT   NOT NULL,
	purpose       TEXT   NOT NULL,
	operation     TEXT   NOT NULL,
	metric        TEXT   NOT NULL,
	cut           TEXT   NOT NULL,
	from_on       TEXT   NOT NULL,
	to_on         TEXT   NOT NULL,
	format        TEXT   NOT NULL,
	release_hash  TEXT   NOT NULL,
	byte_count    BIGINT NOT NULL,
	outcome       TEXT   NOT NULL,
	table_name    TEXT   NOT NULL
);

CREATE INDEX recipient_log_contract ON recipient_log (contract_id, at);

CREATE TRIGGER recipient_log_keep_update BEFORE UPDATE ON recipient_log
	BEGIN SELECT RAISE(ABORT, 'the log is never changed'); END;
CREATE TRIGGER recipient_log_keep_delete BEFORE DELETE ON recipient_log
	BEGIN SELECT RAISE(ABORT, 'the log is never deleted'); END;
