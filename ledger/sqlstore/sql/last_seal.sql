-- The seal that the next one follows.
SELECT seal FROM batches ORDER BY first_seq DESC LIMIT 1
