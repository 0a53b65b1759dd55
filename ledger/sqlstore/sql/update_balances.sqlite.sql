-- Sets the counters of an account that a batch touched.
UPDATE balances SET debits = $1, credits = $2, held_debits = $3,
	held_credits = $4, version = $5, last_seq = $6, closed = $7
WHERE number = $8
