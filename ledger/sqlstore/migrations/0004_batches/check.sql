SELECT COUNT(*) = 0 FROM batches
