package duck

// Exec runs a statement on the engine's own connection, as an attacker who
// found a way to put SQL in.
func Exec(e *Engine, text string) error {
	_, err := e.db.Exec(text)
	return err
}
