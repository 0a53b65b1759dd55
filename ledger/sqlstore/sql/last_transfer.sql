-- The end of the ledger: its last sequence number and time.
SELECT last_seq, ledger_at FROM transactions
WHERE last_seq IS NOT NULL ORDER BY last_seq DESC LIMIT 1
