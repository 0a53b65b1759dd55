-- Closes a settlement period for good.
INSERT INTO closes (id, programme, period, cut_seq, transfers, actor, reason, request, happened_at, ledger_at, business_on)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
