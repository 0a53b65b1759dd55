SELECT (SELECT COUNT(*) FROM shops WHERE operator <> '') = 0
