-- The transfers of a transaction, in order.
SELECT seq, programme, debit, credit, amount_yen, debit_after, credit_after
FROM transfers WHERE transaction_id = $1 ORDER BY seq
