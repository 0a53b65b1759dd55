CREATE TABLE budget_entries (
	recipient   TEXT   NOT NULL,
	seq         BIGINT NOT NULL CHECK (seq > 0),
	kind        TEXT   NOT NULL,
	cost        TEXT   NOT NULL,
	delta       TEXT   NOT NULL,
	fingerprint TEXT   NOT NULL,
	answer      BLOB   NOT NULL,
	at          BIGINT NOT NULL,
	previous    TEXT   NOT NULL,
	hash        TEXT   NOT NULL,
	PRIMARY KEY (recipient, seq)
);

CREATE TRIGGER budget_entries_are_not_changed BEFORE UPDATE ON budget_entries
BEGIN SELECT RAISE(ABORT, 'the accounts are append-only'); END;

CREATE TRIGGER budget_entries_are_not_deleted BEFORE DELETE ON budget_entries
BEGIN SELECT RAISE(ABORT, 'the accounts are append-only'); END;
