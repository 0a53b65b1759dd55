SELECT (SELECT COUNT(*) FROM recipient_contracts) = 0 AND (SELECT COUNT(*) FROM recipient_log) = 0
