-- Transfers after a sequence number, in order.
SELECT t.id, t.kind, t.resident, t.shop, t.terminal, t.actor, t.reason, t.parent, t.request,
	t.happened_at, t.ledger_at, t.until_at, t.business_on, COALESCE(r.id, ''), COALESCE(r.kind, ''),
	t.seq, t.programme, t.debit, t.credit, t.amount_yen, t.held_yen,
	t.debit_after, t.credit_after, t.resident_after, t.debit_prev, t.credit_prev
FROM transfers t
LEFT JOIN transfers r ON r.parent = t.id AND r.parent <> '' AND r.position = 0
WHERE t.seq > $1 ORDER BY t.seq LIMIT $2
