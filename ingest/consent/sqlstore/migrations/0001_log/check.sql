SELECT (SELECT COUNT(*) FROM consent_log) = 0
