CREATE TABLE accounts (
	id        TEXT   PRIMARY KEY,
	programme TEXT   NOT NULL,
	kind      TEXT   NOT NULL,
	owner     TEXT   NOT NULL,
	closed    BOOLEAN NOT NULL,
	debits    BIGINT NOT NULL CHECK (debits >= 0),
	credits   BIGINT NOT NULL CHECK (credits >= 0),
	version   BIGINT NOT NULL
);
CREATE INDEX accounts_by_owner ON accounts (owner, id);

-- One row per ID that was ever answered. A refusal has no sequence numbers.
CREATE TABLE transactions (
	id           TEXT   PRIMARY KEY,
	hash         TEXT   NOT NULL,
	refusal      TEXT   NOT NULL,
	kind         TEXT   NOT NULL,
	resident     TEXT   NOT NULL,
	shop         TEXT   NOT NULL,
	terminal     TEXT   NOT NULL,
	actor        TEXT   NOT NULL,
	reason       TEXT   NOT NULL,
	parent       TEXT   NOT NULL,
	happened_at  BIGINT NOT NULL,
	ledger_at    BIGINT NOT NULL,
	business_on  TEXT   NOT NULL,
	first_seq    BIGINT UNIQUE,
	last_seq     BIGINT UNIQUE
);
-- A payment is cancelled at most once, whatever races there are.
CREATE UNIQUE INDEX transactions_cancel_once ON transactions (parent) WHERE kind = 'cancel' AND refusal = '';

CREATE TABLE transfers (
	seq          BIGINT PRIMARY KEY,
	transaction_id TEXT NOT NULL REFERENCES transactions (id),
	programme    TEXT   NOT NULL,
	debit        TEXT   NOT NULL REFERENCES accounts (id),
	credit       TEXT   NOT NULL REFERENCES accounts (id),
	amount_yen   BIGINT NOT NULL CHECK (amount_yen > 0),
	debit_after  BIGINT NOT NULL,
	credit_after BIGINT NOT NULL
);
CREATE INDEX transfers_by_transaction ON transfers (transaction_id, seq);
