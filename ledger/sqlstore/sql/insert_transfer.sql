-- Appends a transfer.
INSERT INTO transfers (seq, transaction_id, programme, debit, credit, amount_yen, debit_after, credit_after)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
