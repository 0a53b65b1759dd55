-- Appends the transfers of a batch.
INSERT INTO transfers (seq, transaction_id, programme, debit, credit, amount_yen, debit_after, credit_after)
SELECT value ->> '$.seq', value ->> '$.transaction_id', value ->> '$.programme', value ->> '$.debit',
       value ->> '$.credit', value ->> '$.amount_yen', value ->> '$.debit_after', value ->> '$.credit_after'
FROM json_each($1)
