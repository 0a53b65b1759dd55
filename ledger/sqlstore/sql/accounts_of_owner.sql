-- Which accounts does an owner have?
SELECT a.number, a.id, a.programme, a.kind, a.owner, a.period, a.funding, a.rank, a.expires_at, a.limit_yen, b.closed,
	b.debits, b.credits, b.held_debits, b.held_credits, b.version, b.last_seq
FROM accounts a JOIN balances b ON b.number = a.number WHERE a.owner = $1 ORDER BY a.id
