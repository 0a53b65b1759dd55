-- What stands on an account, when what is held by holds whose time is up counts
-- no more? One statement, so that no release comes in between.
SELECT a.number, a.id, a.programme, a.kind, a.owner, a.period, a.funding, a.rank, a.expires_at, a.limit_yen, b.closed,
	b.debits, b.credits,
	b.held_debits - CAST(COALESCE((SELECT SUM((SELECT SUM(t.held_yen) FROM transfers t WHERE t.id = h.id AND t.debit = a.id))
		FROM open_holds h WHERE h.until_at <= $1), 0) AS BIGINT),
	b.held_credits - CAST(COALESCE((SELECT SUM((SELECT SUM(t.held_yen) FROM transfers t WHERE t.id = h.id AND t.credit = a.id))
		FROM open_holds h WHERE h.until_at <= $1), 0) AS BIGINT),
	b.version, b.last_seq
FROM accounts a JOIN balances b ON b.number = a.number WHERE a.id = $2
