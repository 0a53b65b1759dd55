-- May a client see a shop's own tables?
SELECT COUNT(*) FROM recipient_shops WHERE client = $1 AND shop = $2
