-- What a close touches: the takings of the period and what is payable.
SELECT a.number, a.id, a.programme, a.kind, a.owner, a.period, a.funding, a.rank, a.expires_at, a.limit_yen, b.closed,
	b.debits, b.credits, b.held_debits, b.held_credits, b.version, b.last_seq
FROM accounts a JOIN balances b ON b.number = a.number WHERE a.programme = $1 AND (a.kind = 'shop_payable' OR a.kind = 'shop_unsettled' AND a.period = $2)
	AND a.kind IN ('shop_unsettled', 'shop_payable')
