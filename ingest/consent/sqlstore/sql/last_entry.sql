SELECT number, chain FROM consent_log ORDER BY number DESC LIMIT 1
