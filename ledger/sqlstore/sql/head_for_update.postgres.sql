-- The end of the ledger, under the lock that makes this the one writer.
SELECT epoch, writer, batch, accounts, last_seq, last_at, seal FROM ledger_head FOR UPDATE
