-- The transfers of the transactions of a list, in order.
SELECT transaction_id, seq, programme, debit, credit, amount_yen, debit_after, credit_after
FROM transfers WHERE transaction_id IN (SELECT json_array_elements_text(CAST($1 AS json))) ORDER BY seq
