-- What was answered under the IDs of a list?
SELECT t.id, t.hash, t.refusal, t.kind, t.resident, t.shop, t.terminal, t.actor, t.reason, t.parent,
	t.happened_at, t.ledger_at, t.business_on, COALESCE(c.id, '')
FROM transactions t
LEFT JOIN transactions c ON c.parent = t.id AND c.kind = 'cancel' AND c.refusal = ''
WHERE t.id IN (SELECT value FROM json_each($1))
ORDER BY t.id
