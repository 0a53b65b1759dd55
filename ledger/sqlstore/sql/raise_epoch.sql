-- Tells writers that something was written which no batch did: so many accounts.
UPDATE ledger_head SET epoch = epoch + 1, accounts = accounts + $1
