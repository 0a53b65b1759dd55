-- An empty balance for an account that was opened, if it was.
INSERT INTO balances (number, debits, credits, held_debits, held_credits, version, last_seq, closed, floored)
SELECT number, 0, 0, 0, 0, 0, 0, FALSE, kind NOT IN ('funds_paid', 'funds_premium') FROM accounts WHERE number = $1
