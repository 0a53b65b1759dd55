-- Keeps the answer to a transaction's ID.
INSERT INTO transactions (id, hash, refusal, kind, resident, shop, terminal, actor, reason, parent,
	happened_at, ledger_at, business_on, first_seq, last_seq)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
