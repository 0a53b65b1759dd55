-- Writes a batch of nothing but transfers between accounts that are there, which
-- is what most are: write_batch without what it can do besides.
WITH head AS (
	UPDATE ledger_head SET epoch = CAST($1 AS bigint), writer = CAST($2 AS text), batch = CAST($3 AS bigint),
		accounts = CAST($4 AS bigint), last_seq = CAST($5 AS bigint), last_at = CAST($6 AS bigint), seal = CAST($7 AS text)
	WHERE batch = CAST($8 AS bigint) AND epoch = CAST($9 AS bigint)
	RETURNING batch
), changed AS (
	UPDATE balances SET debits = x.debits, credits = x.credits, held_debits = x.held_debits,
		held_credits = x.held_credits, version = x.version, last_seq = x.last_seq, closed = x.closed
	FROM unnest(CAST($10 AS bigint[]), CAST($11 AS bigint[]), CAST($12 AS bigint[]), CAST($13 AS bigint[]),
		CAST($14 AS bigint[]), CAST($15 AS bigint[]), CAST($16 AS boolean[]), CAST($17 AS bigint[]))
		AS x(debits, credits, held_debits, held_credits, version, last_seq, closed, number)
	WHERE balances.number = x.number
	RETURNING 1
), posted AS (
	INSERT INTO transfers (seq, id, position, kind, programme, debit, credit, amount_yen, held_yen, debit_after, credit_after,
		resident_after, debit_prev, credit_prev, resident, shop, terminal, actor, reason, parent, request,
		happened_at, ledger_at, until_at, business_on)
	SELECT * FROM unnest(CAST($18 AS bigint[]), CAST($19 AS text[]), CAST($20 AS bigint[]), CAST($21 AS text[]),
		CAST($22 AS text[]), CAST($23 AS text[]), CAST($24 AS text[]), CAST($25 AS bigint[]),
		CAST($26 AS bigint[]), CAST($27 AS bigint[]), CAST($28 AS bigint[]), CAST($29 AS bigint[]),
		CAST($30 AS bigint[]), CAST($31 AS bigint[]), CAST($32 AS text[]), CAST($33 AS text[]),
		CAST($34 AS text[]), CAST($35 AS text[]), CAST($36 AS text[]), CAST($37 AS text[]),
		CAST($38 AS bytea[]), CAST($39 AS bigint[]), CAST($40 AS bigint[]), CAST($41 AS bigint[]),
		CAST($42 AS text[]))
), sealed AS (
	INSERT INTO batches (number, first_seq, last_seq, last_at, transactions, seal, token, epoch)
	VALUES (CAST($43 AS bigint), CAST($44 AS bigint), CAST($45 AS bigint), CAST($46 AS bigint),
		CAST($47 AS bigint), CAST($48 AS text), CAST($49 AS text), CAST($50 AS bigint))
)
SELECT 1 / (CASE WHEN (SELECT COUNT(*) FROM head) = 1
	AND (SELECT COUNT(*) FROM changed) = COALESCE(cardinality(CAST($17 AS bigint[])), 0)
	AND NOT EXISTS (SELECT 1 FROM refusals WHERE id = ANY (CAST($19 AS text[])))
	AND NOT EXISTS (SELECT 1 FROM closes WHERE id = ANY (CAST($19 AS text[])))
	THEN 1 ELSE 0 END)
