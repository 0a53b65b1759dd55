-- What was a recipient given, and what did it cost?
SELECT seq, kind, cost, delta, fingerprint, answer, at, previous, hash FROM budget_entries
WHERE recipient = $1 ORDER BY seq
