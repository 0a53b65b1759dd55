-- Whose attempt became a batch?
SELECT token FROM batches WHERE number = $1
