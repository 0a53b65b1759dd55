SELECT (SELECT COUNT(*) FROM ledger_head) = 1
   AND (SELECT COUNT(*) FROM accounts) = 0
   AND (SELECT COUNT(*) FROM transfers) = 0
   AND (SELECT COUNT(*) FROM batches) = 0
