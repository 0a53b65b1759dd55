SELECT (SELECT COUNT(*) FROM ingest_shops WHERE operator <> '') = 0
