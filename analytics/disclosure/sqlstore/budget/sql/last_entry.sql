-- Which is the last entry of a recipient?
SELECT COALESCE(MAX(seq), 0) FROM budget_entries WHERE recipient = $1
