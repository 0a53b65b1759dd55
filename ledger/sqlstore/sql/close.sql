-- What did a transaction close?
SELECT id, programme, period, cut_seq, actor, reason, request, happened_at, ledger_at, business_on
FROM closes WHERE id = $1
