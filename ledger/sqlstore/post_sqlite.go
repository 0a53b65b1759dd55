package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"sync"

	"github.com/mattn/go-sqlite3"

	"meguri/ledger"
)

// sqlite reads a batch with one statement a list, and writes it with prepared
// statements in a loop, which is cheaper here than any list of rows. It keeps a
// connection to itself, whose statements stay prepared and whose pages stay in
// memory.
type sqlite struct {
	*Store
	mu         sync.Mutex // a session has it
	conn       *sql.Conn
	driver     *sqlite3.SQLiteConn
	statements map[string]driver.StmtQueryContext
	args       []driver.NamedValue
	changed    int64 // rows, by the connection so far
}

func newSQLite(s *Store) *sqlite {
	e := &sqlite{Store: s}
	s.db.OnClose(func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.drop()
	})
	return e
}

// unseen: looking for each ID in vain costs a fifth of a batch.
func (e *sqlite) unseen() bool { return true }

func (e *sqlite) write(ctx context.Context, r *rows) error {
	begun, err := e.begin(ctx)
	if err != nil {
		return err
	}
	defer begun.end()
	s := begun.(*sqliteSession)
	if err := s.start(); err != nil {
		return err
	}
	return s.write(ctx, r)
}

func (e *sqlite) begin(ctx context.Context) (session, error) {
	e.mu.Lock()
	unlock, err := e.db.LockWriting()
	if err != nil {
		e.mu.Unlock()
		return nil, storage(err)
	}
	s := &sqliteSession{sqlite: e, unlock: func() { unlock(); e.mu.Unlock() }}
	if e.conn != nil {
		return s, nil
	}
	if err = e.connect(ctx); err == nil {
		e.changed, err = s.total()
	}
	if err != nil {
		e.drop()
		s.unlock()
		return nil, fmt.Errorf("%w: %w", ledger.ErrUnavailable, err)
	}
	return s, nil
}

func (e *sqlite) connect(ctx context.Context) (err error) {
	if e.conn, err = e.db.Conn(ctx); err != nil {
		e.conn = nil
		return err
	}
	e.statements = map[string]driver.StmtQueryContext{}
	// The connection stays ours after Raw: nobody else is given it before drop.
	return e.conn.Raw(func(d any) error {
		e.driver = d.(*sqlite3.SQLiteConn)
		_, err := e.driver.Exec("PRAGMA cache_size = -65536", nil) // KiB: the accounts of a city stay in memory
		return err
	})
}

// drop gives the connection up.
func (e *sqlite) drop() {
	if e.conn == nil {
		return
	}
	for _, st := range e.statements {
		_ = st.(driver.Stmt).Close() // the connection goes as well
	}
	_ = e.conn.Raw(func(any) error { return driver.ErrBadConn })
	_ = e.conn.Close()
	e.conn, e.driver, e.statements = nil, nil, nil
}

// settle has nothing to wait for: a commit is a call that returns.
func (e *sqlite) settle(context.Context) error { return nil }

// rows runs a statement, prepared once. The driver's query binds and steps in
// one call into SQLite, also for statements that return nothing; its execution
// does so in one call a parameter.
func (e *sqlite) rows(name, text string, args []driver.NamedValue) (driver.Rows, error) {
	st := e.statements[name]
	if st == nil {
		prepared, err := e.driver.Prepare(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		st = prepared.(driver.StmtQueryContext)
		e.statements[name] = st
	}
	rows, err := st.QueryContext(context.Background(), args)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return rows, nil
}

// do runs a statement that returns nothing.
func (e *sqlite) do(name, text string, args []driver.NamedValue) error {
	rows, err := e.rows(name, text, args)
	if err != nil {
		return storage(err)
	}
	if err := rows.Close(); err != nil {
		return storage(fmt.Errorf("%s: %w", name, err))
	}
	return nil
}

type sqliteSession struct {
	*sqlite
	unlock func()
	open   bool // a transaction is
}

func (s *sqliteSession) end() {
	if s.open {
		err := s.do("rollback", "ROLLBACK", nil)
		if err == nil {
			s.changed, err = s.total() // what was rolled back is counted
		}
		if err != nil {
			s.drop() // it may still be in a transaction
		}
	}
	s.unlock()
}

// query runs a statement whose parameters may be lists.
func (s *sqliteSession) query(name string, each func(scanner) error, args ...any) (err error) {
	s.args = s.args[:0]
	for i, a := range args {
		v := driver.NamedValue{Ordinal: i + 1}
		switch a := a.(type) {
		case int64:
			v.Value = a
		case int:
			v.Value = int64(a)
		case string:
			v.Value = a
		case ledger.ProgrammeID:
			v.Value = string(a)
		default: // a list, as the one JSON parameter that json_each reads
			text, err := json.Marshal(a)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			v.Value = string(text)
		}
		s.args = append(s.args, v)
	}
	rows, err := s.rows(name, s.Store.statements.Get(name), s.args)
	if err != nil {
		return storage(err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	row := make([]driver.Value, len(rows.Columns()))
	for {
		switch err := rows.Next(row); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return storage(fmt.Errorf("%s: %w", name, err))
		}
		if err := each(func(into ...any) error { return assign(row, into) }); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
}

// assign puts the values of a row into variables, by their kind.
func assign(row []driver.Value, into []any) error {
	if len(row) != len(into) {
		return fmt.Errorf("%d columns for %d variables", len(row), len(into))
	}
	for i, v := range row {
		to := reflect.ValueOf(into[i]).Elem()
		switch v := v.(type) {
		case int64:
			if to.Kind() == reflect.Bool {
				to.SetBool(v != 0)
				continue
			}
			if to.CanInt() {
				to.SetInt(v)
				continue
			}
		case bool:
			if to.Kind() == reflect.Bool {
				to.SetBool(v)
				continue
			}
		case string:
			if to.Kind() == reflect.String {
				to.SetString(v)
				continue
			}
		case []byte:
			if to.Kind() == reflect.Slice {
				to.SetBytes(slices.Clone(v)) // the row is used again
				continue
			}
		}
		return fmt.Errorf("column %d: a %T cannot be a %s", i+1, v, to.Type())
	}
	return nil
}

// start starts the transaction, which has the one write lock.
func (s *sqliteSession) start() error {
	s.trips.Add(2)
	err := s.do("begin", "BEGIN IMMEDIATE", nil)
	s.open = err == nil
	return err
}

func (s *sqliteSession) lock(_ context.Context, w want) (*found, error) {
	if err := s.start(); err != nil {
		return nil, err
	}
	have := newFound()
	h := &have.head
	err := s.query("head_for_update", func(scan scanner) error {
		return scan(&h.epoch, &h.writer, &h.batch, &h.accounts, &h.seq, &h.at, &h.seal)
	})
	if err != nil {
		return nil, err
	}
	return have, s.read(context.Background(), w, have)
}

func (s *sqliteSession) read(_ context.Context, w want, have *found) (err error) {
	query := func(name string, each func(scanner) error, args ...any) {
		if err == nil {
			err = s.query(name, each, args...)
		}
	}
	if w.due {
		query("due_holds", have.scanDue, w.until, w.slack, maxDue)
		query("next_hold", have.scanNext, w.until)
	}
	ids := w.Parents
	if len(w.IDs) > 0 { // nearly always none of them is there
		query("answered_ids", func(scan scanner) error {
			var id string
			err := scan(&id)
			ids = append(ids, id)
			return err
		}, w.IDs)
	}
	if len(ids) > 0 {
		query("transfers_by_ids", have.scanTransfer, ids)
		query("closes_by_ids", have.scanClose, ids)
		query("refusals_by_ids", have.scanRefused, ids)
	}
	if len(w.Accounts) > 0 {
		query("accounts_by_ids", have.scanAccount, w.Accounts)
	}
	if len(w.Residents) > 0 {
		query("lots_of_owners", have.scanAccount, w.Residents)
	}
	if len(w.Parents) > 0 {
		query("accounts_of_transactions", have.scanAccount, w.Parents)
	}
	if len(w.Periods) > 0 {
		query("closes_of_programmes", have.scanClosed, programmesOf(w.Periods))
	}
	for _, c := range w.Closes {
		query("accounts_of_close", have.scanAccount, c.Programme, c.Period)
	}
	return err
}

func (s *sqliteSession) write(_ context.Context, r *rows) (err error) {
	c := columnsOf(r)
	each := func(name string, columns ...any) {
		if err == nil {
			err = s.each(name, columns)
		}
	}
	each("insert_accounts", c.opened.arrays()...)
	each("insert_transfers", c.transfers.arrays()...)
	each("insert_balances", c.begun.arrays()...)
	each("update_balances", c.changed.updates()...)
	each("insert_refusals", c.refusals.arrays()...)
	each("insert_marks", c.marks.account, c.marks.seq)
	each("insert_holds", c.holds.id, c.holds.until)
	each("delete_holds", r.ended)
	for _, args := range c.closes {
		if err == nil {
			err = s.once("insert_close", args)
		}
	}
	if err == nil {
		err = s.once("insert_batch", r.batchArgs())
	}
	if err == nil {
		err = s.once("update_head", r.headArgs())
	}
	if err == nil {
		err = s.checkChanges(c.rows(r) + 2) // and the batch and the head
	}
	if err == nil {
		err = s.do("commit", "COMMIT", nil)
	}
	s.open = err != nil
	return err
}

// checkChanges checks that every statement has changed its one row. One that
// has not found that somebody else has written, or has answered an ID before.
func (s *sqliteSession) checkChanges(want int) error {
	total, err := s.total()
	if changed := total - s.changed; err == nil && changed != int64(want) {
		return fmt.Errorf("%w: the batch has changed %d rows, and not %d", errStale, changed, want)
	}
	s.changed = total
	return err
}

// total is how many rows the connection has changed in its life.
func (s *sqliteSession) total() (n int64, err error) {
	err = s.query("total_changes", func(scan scanner) error { return scan(&n) })
	return n, err
}

// each runs a statement once for every row of the columns.
func (s *sqliteSession) each(name string, columns []any) error {
	n := reflect.ValueOf(columns[0]).Len()
	if n == 0 {
		return nil
	}
	text := s.Store.statements.Get(name)
	s.args = s.args[:0]
	for i := range columns {
		s.args = append(s.args, driver.NamedValue{Ordinal: i + 1})
	}
	for row := range n {
		for i, c := range columns {
			switch list := c.(type) {
			case []int64:
				s.args[i].Value = list[row]
			case []string:
				s.args[i].Value = list[row]
			case []bool:
				s.args[i].Value = list[row]
			case [][]byte:
				s.args[i].Value = list[row]
			}
		}
		if err := s.do(name, text, s.args); err != nil {
			return err
		}
	}
	return nil
}

func (s *sqliteSession) once(name string, args []any) error {
	s.args = s.args[:0]
	for i, a := range args {
		s.args = append(s.args, driver.NamedValue{Ordinal: i + 1, Value: a})
	}
	return s.do(name, s.Store.statements.Get(name), s.args)
}

// storage tells a disk that failed or is full, after which nothing may be
// written any more, from a file that is busy for too long, and from what is
// there already.
func storage(err error) error {
	var lite sqlite3.Error
	if errors.As(err, &lite) {
		switch lite.Code {
		case sqlite3.ErrFull, sqlite3.ErrIoErr, sqlite3.ErrCorrupt, sqlite3.ErrNotADB, sqlite3.ErrCantOpen, sqlite3.ErrReadonly:
			return fmt.Errorf("%w: %w", ledger.ErrStorage, err)
		case sqlite3.ErrBusy, sqlite3.ErrLocked:
			return fmt.Errorf("%w: %w", ledger.ErrUnavailable, err)
		case sqlite3.ErrConstraint:
			if lite.ExtendedCode == sqlite3.ErrConstraintUnique || lite.ExtendedCode == sqlite3.ErrConstraintPrimaryKey || lite.ExtendedCode == sqlite3.ErrConstraintRowID {
				return fmt.Errorf("%w: %w", errStale, err)
			}
		}
	}
	return err
}
