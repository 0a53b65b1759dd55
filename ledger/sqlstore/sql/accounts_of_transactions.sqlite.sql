-- The accounts that the transactions of a list touched, and their residents' lots.
WITH touched AS (SELECT debit, credit, resident FROM transfers WHERE id IN (SELECT value FROM json_each($1)))
SELECT a.number, a.id, a.programme, a.kind, a.owner, a.period, a.funding, a.rank, a.expires_at, a.limit_yen, b.closed,
	b.debits, b.credits, b.held_debits, b.held_credits, b.version, b.last_seq
FROM accounts a JOIN balances b ON b.number = a.number WHERE a.id IN (SELECT debit FROM touched UNION SELECT credit FROM touched)
UNION ALL
SELECT a.number, a.id, a.programme, a.kind, a.owner, a.period, a.funding, a.rank, a.expires_at, a.limit_yen, b.closed,
	b.debits, b.credits, b.held_debits, b.held_credits, b.version, b.last_seq
FROM accounts a JOIN balances b ON b.number = a.number WHERE a.owner IN (SELECT resident FROM touched) AND a.kind = 'resident_lot' AND b.credits <> b.debits
