-- Transfers of a stretch of the sequence, in order, without what followed them.
SELECT t.id, t.kind, t.resident, t.shop, t.terminal, t.actor, t.reason, t.parent, t.request,
	t.happened_at, t.ledger_at, t.until_at, t.business_on, '', '',
	t.seq, t.programme, t.debit, t.credit, t.amount_yen, t.held_yen,
	t.debit_after, t.credit_after, t.resident_after, t.debit_prev, t.credit_prev
FROM transfers t
WHERE t.seq >= $1 AND t.seq <= $2 ORDER BY t.seq
