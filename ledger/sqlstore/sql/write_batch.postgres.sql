-- Writes a batch, all of it in one statement. It fails as a whole when another
-- writer has written since this one looked: the batch's number is taken. It
-- fails as well when an ID was answered before, by the index or by the division
-- at the end, and when a row that is to change is not there.
WITH head AS (
	UPDATE ledger_head SET epoch = CAST($1 AS bigint), writer = CAST($2 AS text), batch = CAST($3 AS bigint),
		accounts = CAST($4 AS bigint), last_seq = CAST($5 AS bigint), last_at = CAST($6 AS bigint), seal = CAST($7 AS text)
	WHERE batch = CAST($8 AS bigint) AND epoch = CAST($9 AS bigint)
	RETURNING batch
), opened AS (
	INSERT INTO accounts (number, id, programme, kind, owner, period, funding, rank, expires_at, limit_yen)
	SELECT * FROM unnest(CAST($10 AS bigint[]), CAST($11 AS text[]), CAST($12 AS text[]), CAST($13 AS text[]),
		CAST($14 AS text[]), CAST($15 AS text[]), CAST($16 AS text[]), CAST($17 AS bigint[]),
		CAST($18 AS bigint[]), CAST($19 AS bigint[]))
), begun AS (
	INSERT INTO balances (number, debits, credits, held_debits, held_credits, version, last_seq, closed, floored)
	SELECT * FROM unnest(CAST($20 AS bigint[]), CAST($21 AS bigint[]), CAST($22 AS bigint[]), CAST($23 AS bigint[]),
		CAST($24 AS bigint[]), CAST($25 AS bigint[]), CAST($26 AS bigint[]), CAST($27 AS boolean[]),
		CAST($28 AS boolean[]))
), changed AS (
	UPDATE balances SET debits = x.debits, credits = x.credits, held_debits = x.held_debits,
		held_credits = x.held_credits, version = x.version, last_seq = x.last_seq, closed = x.closed
	FROM unnest(CAST($29 AS bigint[]), CAST($30 AS bigint[]), CAST($31 AS bigint[]), CAST($32 AS bigint[]),
		CAST($33 AS bigint[]), CAST($34 AS bigint[]), CAST($35 AS boolean[]), CAST($36 AS bigint[]))
		AS x(debits, credits, held_debits, held_credits, version, last_seq, closed, number)
	WHERE balances.number = x.number
	RETURNING 1
), posted AS (
	INSERT INTO transfers (seq, id, position, kind, programme, debit, credit, amount_yen, held_yen, debit_after, credit_after,
		resident_after, debit_prev, credit_prev, resident, shop, terminal, actor, reason, parent, request,
		happened_at, ledger_at, until_at, business_on)
	SELECT * FROM unnest(CAST($37 AS bigint[]), CAST($38 AS text[]), CAST($39 AS bigint[]), CAST($40 AS text[]),
		CAST($41 AS text[]), CAST($42 AS text[]), CAST($43 AS text[]), CAST($44 AS bigint[]),
		CAST($45 AS bigint[]), CAST($46 AS bigint[]), CAST($47 AS bigint[]), CAST($48 AS bigint[]),
		CAST($49 AS bigint[]), CAST($50 AS bigint[]), CAST($51 AS text[]), CAST($52 AS text[]),
		CAST($53 AS text[]), CAST($54 AS text[]), CAST($55 AS text[]), CAST($56 AS text[]),
		CAST($57 AS bytea[]), CAST($58 AS bigint[]), CAST($59 AS bigint[]), CAST($60 AS bigint[]),
		CAST($61 AS text[]))
), refused AS (
	INSERT INTO refusals (id, request, code, kind, actor, refused_at)
	SELECT * FROM unnest(CAST($62 AS text[]), CAST($63 AS bytea[]), CAST($64 AS text[]), CAST($65 AS text[]),
		CAST($66 AS text[]), CAST($67 AS bigint[]))
), marked AS (
	INSERT INTO account_marks (account, seq) SELECT * FROM unnest(CAST($68 AS text[]), CAST($69 AS bigint[]))
), held AS (
	INSERT INTO open_holds (id, until_at) SELECT * FROM unnest(CAST($70 AS text[]), CAST($71 AS bigint[]))
), ended AS (
	DELETE FROM open_holds WHERE id = ANY (CAST($72 AS text[]))
	RETURNING 1
), sealed AS (
	INSERT INTO batches (number, first_seq, last_seq, last_at, transactions, seal, token, epoch)
	VALUES (CAST($73 AS bigint), CAST($74 AS bigint), CAST($75 AS bigint), CAST($76 AS bigint),
		CAST($77 AS bigint), CAST($78 AS text), CAST($79 AS text), CAST($80 AS bigint))
)
SELECT 1 / (CASE WHEN (SELECT COUNT(*) FROM head) = 1
	AND (SELECT COUNT(*) FROM changed) = COALESCE(cardinality(CAST($36 AS bigint[])), 0)
	AND (SELECT COUNT(*) FROM ended) = COALESCE(cardinality(CAST($72 AS text[])), 0)
	AND NOT EXISTS (SELECT 1 FROM refusals WHERE id = ANY (CAST($38 AS text[])))
	AND NOT EXISTS (SELECT 1 FROM transfers WHERE id = ANY (CAST($62 AS text[])) AND position = 0)
	AND NOT EXISTS (SELECT 1 FROM closes WHERE id = ANY (CAST($62 AS text[])))
	AND NOT EXISTS (SELECT 1 FROM closes WHERE id = ANY (CAST($38 AS text[])))
	THEN 1 ELSE 0 END)
