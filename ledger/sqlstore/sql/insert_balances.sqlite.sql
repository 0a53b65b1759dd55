-- Keeps what a batch put on a new account.
INSERT INTO balances (number, debits, credits, held_debits, held_credits, version, last_seq, closed, floored)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
