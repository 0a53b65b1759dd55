-- Sets an account's counters after a batch.
UPDATE accounts SET debits = $1, credits = $2, version = $3 WHERE id = $4
