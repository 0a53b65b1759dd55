-- The end of the ledger, in one row, whose lock is the writer's lease: a batch
-- locks it first and writes it last. epoch counts the changes of writer.
CREATE TABLE ledger_head (
	one      INTEGER PRIMARY KEY CHECK (one = 1),
	epoch    BIGINT NOT NULL,
	writer   TEXT   NOT NULL,
	batch    BIGINT NOT NULL,
	accounts BIGINT NOT NULL, -- the last account's number
	last_seq BIGINT NOT NULL,
	last_at  BIGINT NOT NULL,
	seal     TEXT   NOT NULL
) WITH (fillfactor = 20);
INSERT INTO ledger_head (one, epoch, writer, batch, accounts, last_seq, last_at, seal) VALUES (1, 0, '', 0, 0, 0, 0, '');

-- What an account is never changes, and what stands on it changes all the time:
-- two tables, so that a batch rewrites small rows that lie close together.
CREATE TABLE accounts (
	number     BIGINT PRIMARY KEY,
	id         TEXT COLLATE "C" NOT NULL UNIQUE,
	programme  TEXT COLLATE "C" NOT NULL,
	kind       TEXT   NOT NULL,
	owner      TEXT COLLATE "C" NOT NULL,
	period     TEXT COLLATE "C" NOT NULL,
	funding    TEXT   NOT NULL,
	rank       BIGINT NOT NULL,
	expires_at BIGINT NOT NULL, -- microseconds UTC; 0 is never
	limit_yen  BIGINT NOT NULL  -- 0 is none
);
CREATE INDEX accounts_by_owner ON accounts (owner, id);
CREATE INDEX accounts_of_shops ON accounts (programme, kind, period) WHERE kind IN ('shop_unsettled', 'shop_payable');

CREATE TABLE balances (
	number       BIGINT PRIMARY KEY, -- the account's
	debits       BIGINT NOT NULL,
	credits      BIGINT NOT NULL,
	held_debits  BIGINT NOT NULL,
	held_credits BIGINT NOT NULL,
	version      BIGINT NOT NULL,
	last_seq     BIGINT NOT NULL,
	closed       BOOLEAN NOT NULL,
	floored      BOOLEAN NOT NULL,
	CHECK (debits >= 0 AND credits >= 0 AND held_debits >= 0 AND held_credits >= 0
		AND (NOT floored OR credits - debits >= held_debits))
) WITH (fillfactor = 60);

-- One row a transfer; a transaction is the rows of one id. Nothing here is
-- indexed by account: each row names the row before of both its accounts, so
-- that rows are only ever appended, however many there are.
CREATE TABLE transfers (
	seq            BIGINT PRIMARY KEY,
	id             TEXT COLLATE "C" NOT NULL,
	position       BIGINT NOT NULL,
	kind           TEXT   NOT NULL,
	programme      TEXT   NOT NULL,
	debit          TEXT   NOT NULL,
	credit         TEXT   NOT NULL,
	amount_yen     BIGINT NOT NULL,
	held_yen       BIGINT NOT NULL,
	debit_after    BIGINT NOT NULL,
	credit_after   BIGINT NOT NULL,
	resident_after BIGINT NOT NULL,
	debit_prev     BIGINT NOT NULL,
	credit_prev    BIGINT NOT NULL,
	resident       TEXT   NOT NULL,
	shop           TEXT   NOT NULL,
	terminal       TEXT   NOT NULL,
	actor          TEXT   NOT NULL,
	reason         TEXT   NOT NULL,
	parent         TEXT COLLATE "C" NOT NULL,
	request        BYTEA NOT NULL,
	happened_at    BIGINT NOT NULL,
	ledger_at      BIGINT NOT NULL,
	until_at       BIGINT NOT NULL, -- of a hold
	business_on    TEXT   NOT NULL,
	UNIQUE (id, position),
	CHECK (amount_yen >= 0 AND (amount_yen > 0 OR held_yen <> 0))
);
-- A payment is taken back at most once, and a hold ends once, whatever races there are.
CREATE UNIQUE INDEX transfers_by_parent ON transfers (parent) WHERE parent <> '' AND position = 0;

-- Every 64th entry of an account: where a statement of the past begins.
CREATE TABLE account_marks (
	account TEXT COLLATE "C" NOT NULL,
	seq     BIGINT NOT NULL,
	PRIMARY KEY (account, seq)
);

-- What was refused is refused for good.
CREATE TABLE refusals (
	id         TEXT COLLATE "C" PRIMARY KEY,
	request    BYTEA NOT NULL,
	code       TEXT   NOT NULL,
	kind       TEXT   NOT NULL,
	actor      TEXT   NOT NULL,
	refused_at BIGINT NOT NULL
);

-- Holds that nothing has ended yet.
CREATE TABLE open_holds (
	id       TEXT COLLATE "C" PRIMARY KEY,
	until_at BIGINT NOT NULL
);
CREATE INDEX open_holds_by_time ON open_holds (until_at, id);

-- Settlement periods that are closed. A close of nothing has no transfers, so
-- that all there is of the transaction stands here.
CREATE TABLE closes (
	id          TEXT COLLATE "C" PRIMARY KEY,
	programme   TEXT COLLATE "C" NOT NULL,
	period      TEXT COLLATE "C" NOT NULL,
	cut_seq     BIGINT NOT NULL,
	transfers   BIGINT NOT NULL,
	actor       TEXT   NOT NULL,
	reason      TEXT   NOT NULL,
	request     BYTEA NOT NULL,
	happened_at BIGINT NOT NULL,
	ledger_at   BIGINT NOT NULL,
	business_on TEXT   NOT NULL,
	UNIQUE (programme, period)
);

-- One row a commit that posted something. token is the attempt's, by which a
-- writer that lost the answer finds out what became of it.
CREATE TABLE batches (
	number       BIGINT PRIMARY KEY,
	first_seq    BIGINT NOT NULL,
	last_seq     BIGINT NOT NULL,
	last_at      BIGINT NOT NULL,
	transactions BIGINT NOT NULL,
	seal         TEXT   NOT NULL,
	token        TEXT   NOT NULL,
	epoch        BIGINT NOT NULL
);
CREATE INDEX batches_by_time ON batches (last_at);
