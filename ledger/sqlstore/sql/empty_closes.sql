-- Which closes moved nothing?
SELECT id, programme, period, cut_seq, actor, reason, request, happened_at, ledger_at, business_on
FROM closes WHERE transfers = 0 ORDER BY ledger_at
