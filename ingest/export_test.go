package ingest

// SetChunkRows makes an importer commit after few rows.
func SetChunkRows(im *Importer, rows int) { im.chunkRows = rows }

// SetStep has fn called at each step between which a process may die.
func SetStep(im *Importer, fn func(step string)) { im.step = fn }
