-- Seals a commit.
INSERT INTO batches (first_seq, last_seq, seal) VALUES ($1, $2, $3)
