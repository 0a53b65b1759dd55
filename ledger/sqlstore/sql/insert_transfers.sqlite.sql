-- Appends a transfer, unless its ID was refused before, or closed a period.
INSERT INTO transfers (seq, id, position, kind, programme, debit, credit, amount_yen, held_yen, debit_after, credit_after,
	resident_after, debit_prev, credit_prev, resident, shop, terminal, actor, reason, parent, request,
	happened_at, ledger_at, until_at, business_on)
SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25
WHERE NOT EXISTS (SELECT 1 FROM refusals WHERE id = $2) AND NOT EXISTS (SELECT 1 FROM closes WHERE id = $2)
