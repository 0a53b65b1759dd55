-- The end of the ledger: its last sequence number and time, and the seal that the
-- next one follows. It is one row, of zeroes in an empty ledger.
SELECT COALESCE(MAX(t.last_seq), 0), COALESCE(MAX(t.ledger_at), 0), COALESCE(MAX(b.seal), '')
FROM batches b JOIN transactions t ON t.last_seq = b.last_seq
WHERE b.first_seq = (SELECT MAX(first_seq) FROM batches)
