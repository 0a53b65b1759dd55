-- Seals a commit.
INSERT INTO batches (number, first_seq, last_seq, last_at, transactions, seal, token, epoch)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
