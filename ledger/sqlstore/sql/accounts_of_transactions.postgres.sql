-- The accounts that the transactions of a list touched, and their residents' lots.
-- Arrays, so that there is one way to do it whatever the planner knows.
SELECT a.number, a.id, a.programme, a.kind, a.owner, a.period, a.funding, a.rank, a.expires_at, a.limit_yen, b.closed,
	b.debits, b.credits, b.held_debits, b.held_credits, b.version, b.last_seq
FROM accounts a JOIN balances b ON b.number = a.number WHERE a.id = ANY (ARRAY(
	SELECT debit FROM transfers WHERE id = ANY (CAST($1 AS text[])) UNION SELECT credit FROM transfers WHERE id = ANY (CAST($1 AS text[]))))
UNION ALL
SELECT a.number, a.id, a.programme, a.kind, a.owner, a.period, a.funding, a.rank, a.expires_at, a.limit_yen, b.closed,
	b.debits, b.credits, b.held_debits, b.held_credits, b.version, b.last_seq
FROM accounts a JOIN balances b ON b.number = a.number WHERE a.owner = ANY (ARRAY(
	SELECT DISTINCT resident FROM transfers WHERE id = ANY (CAST($1 AS text[])))) AND a.kind = 'resident_lot' AND b.credits <> b.debits
