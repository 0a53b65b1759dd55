-- The last account's number, while the transaction holds the one write lock.
SELECT accounts FROM ledger_head
