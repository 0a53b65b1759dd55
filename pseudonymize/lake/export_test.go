package lake

import "io"

// SetCreate has fn make the files of a run; it may call create, which makes
// them otherwise.
func SetCreate(w *Writer, fn func(path string, create func(string) (io.WriteCloser, error)) (io.WriteCloser, error)) {
	create := w.create
	w.create = func(path string) (io.WriteCloser, error) { return fn(path, create) }
}

// SetStep has fn called at each step between which a process may die.
func SetStep(w *Writer, fn func(done string)) { w.step = fn }

// RowGroup is how many rows of a month are written together.
const RowGroup = rowGroup

// SetLarge has row groups of so many rows stay groups, until the test ends.
func SetLarge(t interface{ Cleanup(func()) }, rows int64) {
	was := large
	t.Cleanup(func() { large = was })
	large = rows
}
