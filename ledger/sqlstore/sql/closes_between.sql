-- What was closed in a stretch of ledger time?
SELECT id, programme, period, cut_seq, actor, reason, request, happened_at, ledger_at, business_on
FROM closes WHERE ledger_at >= $1 AND ledger_at <= $2 ORDER BY ledger_at
