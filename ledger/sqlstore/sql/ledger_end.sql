-- The last sequence number.
SELECT last_seq FROM ledger_head
