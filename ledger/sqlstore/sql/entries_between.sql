-- The transfers of a stretch of the sequence, in order.
SELECT transaction_id, seq, programme, debit, credit, amount_yen, debit_after, credit_after
FROM transfers WHERE seq BETWEEN $1 AND $2 ORDER BY seq
