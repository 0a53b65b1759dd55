SELECT (SELECT COUNT(*) FROM ingest_segments WHERE dataset <> 'payment') = 0
	AND (SELECT COUNT(*) FROM ingest_quarantine) + (SELECT COUNT(*) FROM ingest_days) = 0
