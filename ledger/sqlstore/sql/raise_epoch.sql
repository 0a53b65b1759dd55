-- Makes void what was folded before and not written: something was written that
-- no batch did, so many accounts, or a batch was given up.
UPDATE ledger_head SET epoch = epoch + 1, accounts = accounts + $1
