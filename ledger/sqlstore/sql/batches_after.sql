-- Batches after a number, in order.
SELECT number, first_seq, last_seq, transactions, seal FROM batches WHERE number > $1 ORDER BY number LIMIT $2
