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
	number        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
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

CREATE FUNCTION keep_recipient_log() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION 'the log is never changed or deleted';
END $$;
CREATE TRIGGER recipient_log_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON recipient_log
	FOR EACH STATEMENT EXECUTE FUNCTION keep_recipient_log();
