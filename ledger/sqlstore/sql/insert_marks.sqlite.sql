-- Keeps where statements of the past begin.
INSERT INTO account_marks (account, seq) VALUES ($1, $2)
