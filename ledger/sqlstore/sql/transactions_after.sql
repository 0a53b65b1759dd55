-- Posted transactions after a sequence number, in sequence order.
SELECT t.id, t.hash, t.refusal, t.kind, t.resident, t.shop, t.terminal, t.actor, t.reason, t.parent,
	t.happened_at, t.ledger_at, t.business_on, COALESCE(c.id, ''),
	t.first_seq, t.last_seq
FROM transactions t
LEFT JOIN transactions c ON c.parent = t.id AND c.kind = 'cancel' AND c.refusal = ''
WHERE t.first_seq > $1
ORDER BY t.first_seq
LIMIT $2
