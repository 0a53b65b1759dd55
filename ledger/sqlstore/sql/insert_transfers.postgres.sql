-- Appends the transfers of a batch.
INSERT INTO transfers (seq, transaction_id, programme, debit, credit, amount_yen, debit_after, credit_after)
SELECT seq, transaction_id, programme, debit, credit, amount_yen, debit_after, credit_after
FROM json_to_recordset(CAST($1 AS json)) AS x(seq bigint, transaction_id text, programme text, debit text, credit text, amount_yen bigint, debit_after bigint, credit_after bigint)
