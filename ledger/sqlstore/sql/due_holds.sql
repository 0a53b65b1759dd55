-- Holds whose time is up, or will be within a batch of that many microseconds
-- of ledger time, which may be ahead of the clock.
SELECT id, until_at FROM open_holds
WHERE until_at <= $1 OR until_at <= (SELECT last_at FROM ledger_head) + $2
ORDER BY until_at, id LIMIT $3
