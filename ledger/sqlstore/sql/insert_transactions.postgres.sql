-- Keeps the answers to the IDs of a batch.
INSERT INTO transactions (id, hash, refusal, kind, resident, shop, terminal, actor, reason, parent, happened_at, ledger_at, business_on, first_seq, last_seq)
SELECT id, hash, refusal, kind, resident, shop, terminal, actor, reason, parent, happened_at, ledger_at, business_on, first_seq, last_seq
FROM json_to_recordset(CAST($1 AS json)) AS x(id text, hash text, refusal text, kind text, resident text, shop text, terminal text, actor text, reason text, parent text, happened_at bigint, ledger_at bigint, business_on text, first_seq bigint, last_seq bigint)
