-- The last entry that was posted by an instant: that of the last batch that was
-- over by then, or one within the batch after it.
SELECT COALESCE(
	(SELECT MAX(t.seq) FROM transfers t
	 WHERE t.ledger_at <= $1
	   AND t.seq >= (SELECT b.first_seq FROM batches b WHERE b.last_at > $1 ORDER BY b.last_at LIMIT 1)
	   AND t.seq <= (SELECT b.last_seq FROM batches b WHERE b.last_at > $1 ORDER BY b.last_at LIMIT 1)),
	(SELECT b.last_seq FROM batches b WHERE b.last_at <= $1 ORDER BY b.last_at DESC LIMIT 1),
	0)
