-- Batches after a sequence number, in order.
SELECT first_seq, last_seq, seal FROM batches WHERE first_seq > $1 ORDER BY first_seq LIMIT $2
