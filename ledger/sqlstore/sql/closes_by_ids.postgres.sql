-- Which of a list of transactions closed a period?
SELECT id, programme, period, cut_seq, actor, reason, request, happened_at, ledger_at, business_on
FROM closes WHERE id = ANY (CAST($1 AS text[])) ORDER BY id
