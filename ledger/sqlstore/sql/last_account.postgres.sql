-- The last account's number, under the writer's lock.
SELECT accounts FROM ledger_head FOR UPDATE
