-- How many contracts does the client have in the time of another?
SELECT COUNT(*) FROM recipient_contracts
WHERE client = $1 AND begins_at < $2
  AND (CASE WHEN ended_at > 0 AND ended_at < terms_end_at THEN ended_at ELSE terms_end_at END) > $3
