-- Keeps the answers to the IDs of a batch.
INSERT INTO transactions (id, hash, refusal, kind, resident, shop, terminal, actor, reason, parent, happened_at, ledger_at, business_on, first_seq, last_seq)
SELECT value ->> '$.id', value ->> '$.hash', value ->> '$.refusal', value ->> '$.kind', value ->> '$.resident',
       value ->> '$.shop', value ->> '$.terminal', value ->> '$.actor', value ->> '$.reason',
       value ->> '$.parent', value ->> '$.happened_at', value ->> '$.ledger_at', value ->> '$.business_on',
       value ->> '$.first_seq', value ->> '$.last_seq'
FROM json_each($1)
