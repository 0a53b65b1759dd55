-- The end of the ledger, while the batch holds the one write lock.
SELECT epoch, writer, batch, accounts, last_seq, last_at, seal FROM ledger_head
