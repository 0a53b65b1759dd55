-- Entries of an account before a sequence number, the last first. The walk
-- starts at the first mark that is not before it, or at the account's last
-- entry, and follows the account's chain of entries.
WITH RECURSIVE chain(seq, rest) AS (
	SELECT COALESCE(
		(SELECT MIN(m.seq) FROM account_marks m WHERE m.account = $1 AND m.seq >= $2),
		(SELECT b.last_seq FROM accounts a JOIN balances b ON b.number = a.number WHERE a.id = $1)), CAST($3 AS BIGINT)
	UNION ALL
	SELECT CASE WHEN t.debit = $1 THEN t.debit_prev ELSE t.credit_prev END, chain.rest - 1
	FROM chain JOIN transfers t ON t.seq = chain.seq
	WHERE chain.rest > 1
)
SELECT t.id, t.kind, t.shop, t.happened_at, t.ledger_at, t.business_on,
	t.seq, t.programme, t.debit, t.credit, t.amount_yen, t.held_yen,
	t.debit_after, t.credit_after, t.resident_after, t.debit_prev, t.credit_prev
FROM chain JOIN transfers t ON t.seq = chain.seq
WHERE t.seq < $2
ORDER BY t.seq DESC LIMIT $4
