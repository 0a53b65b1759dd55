CREATE TABLE budget_entries (
	recipient   TEXT   NOT NULL,
	seq         BIGINT NOT NULL CHECK (seq > 0),
	kind        TEXT   NOT NULL,
	cost        TEXT   NOT NULL,
	delta       TEXT   NOT NULL,
	fingerprint TEXT   NOT NULL,
	answer      BYTEA NOT NULL,
	at          BIGINT NOT NULL,
	previous    TEXT   NOT NULL,
	hash        TEXT   NOT NULL,
	PRIMARY KEY (recipient, seq)
);

CREATE FUNCTION refuse_change_of_budget() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'the accounts are append-only'; END $$;

CREATE TRIGGER budget_entries_are_not_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON budget_entries
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_budget();
