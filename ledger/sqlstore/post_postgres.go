package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"meguri/ledger"
)

// postgres sends a batch in two round trips: one pipeline of statements that
// locks and reads, and one that writes and commits. Lists go as arrays.
type postgres struct{ *Store }

func (e *postgres) begin(ctx context.Context) (session, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	conn, err := e.db.Conn(ctx)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("%w: %w", ledger.ErrUnavailable, err)
	}
	s := &postgresSession{Store: e.Store, conn: conn, cancel: cancel}
	// What stays of the connection is used by one session alone until its end.
	err = conn.Raw(func(driver any) error {
		s.pgx = driver.(*stdlib.Conn).Conn()
		return nil
	})
	if err != nil {
		s.end()
		return nil, fmt.Errorf("%w: %w", ledger.ErrUnavailable, err)
	}
	return s, nil
}

// settle waits for the head's lock: a transaction that was lost has ended by
// then, one way or the other. A batch that is still on its way to the server
// comes too late: the epoch on which it was folded is over.
func (e *postgres) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	_, err := e.db.ExecContext(ctx, e.statements.Get("raise_epoch"), 0)
	return err
}

type postgresSession struct {
	*Store
	conn   *sql.Conn
	pgx    *pgx.Conn
	cancel context.CancelFunc
	open   bool // a transaction is
}

func (s *postgresSession) end() {
	defer s.cancel()
	if s.open && !s.pgx.IsClosed() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		if _, err := s.pgx.Exec(ctx, "ROLLBACK"); err != nil {
			_ = s.pgx.Close(ctx) // so that nobody is given a connection in a transaction
		}
		cancel()
	}
	_ = s.conn.Close() // back to the pool, which notices one that is broken
}

// pipeline is a list of statements with what is done with each one's rows.
type pipeline struct {
	*Store
	batch pgx.Batch
	then  []func(pgx.BatchResults) error
}

func (p *pipeline) query(name string, each func(scanner) error, args ...any) {
	p.batch.Queue(p.statements.Get(name), args...)
	p.then = append(p.then, func(r pgx.BatchResults) error {
		rows, err := r.Query()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		defer rows.Close()
		for rows.Next() {
			if err := each(rows.Scan); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		if err := rows.Err(); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	})
}

// exec queues a statement that must touch n rows.
func (p *pipeline) exec(name string, n int, args ...any) {
	if n == 0 {
		return
	}
	p.batch.Queue(p.statements.Get(name), args...)
	p.then = append(p.then, func(r pgx.BatchResults) error {
		switch tag, err := r.Exec(); {
		case err != nil:
			return fmt.Errorf("%s: %w", name, err)
		case int(tag.RowsAffected()) != n:
			return fmt.Errorf("%s: %d of %d rows", name, tag.RowsAffected(), n)
		}
		return nil
	})
}

func (p *pipeline) command(text string) {
	p.batch.Queue(text)
	p.then = append(p.then, func(r pgx.BatchResults) error {
		_, err := r.Exec()
		return err
	})
}

// run sends the pipeline and reads the answers: one round trip.
func (p *pipeline) run(ctx context.Context, conn *pgx.Conn) (err error) {
	p.trips.Add(1)
	results := conn.SendBatch(ctx, &p.batch)
	defer func() { err = errors.Join(err, results.Close()) }()
	for _, then := range p.then {
		if err := then(results); err != nil {
			return err
		}
	}
	return nil
}

func (s *postgresSession) lock(ctx context.Context, w want) (*found, error) {
	have := newFound()
	p := &pipeline{Store: s.Store}
	p.command("BEGIN ISOLATION LEVEL READ COMMITTED")
	p.query("head_for_update", func(scan scanner) error {
		h := &have.head
		return scan(&h.epoch, &h.writer, &h.batch, &h.accounts, &h.seq, &h.at, &h.seal)
	})
	p.read(w, have)
	s.open = true
	if err := p.run(ctx, s.pgx); err != nil {
		return nil, notSent(err)
	}
	return have, nil
}

func (s *postgresSession) read(ctx context.Context, w want, have *found) error {
	p := &pipeline{Store: s.Store}
	p.read(w, have)
	if err := p.run(ctx, s.pgx); err != nil {
		return notSent(err)
	}
	return nil
}

// read queues what is to be read.
func (p *pipeline) read(w want, have *found) {
	if w.due {
		p.query("due_holds", have.scanDue, w.until, w.slack, maxDue)
		p.query("next_hold", have.scanNext, w.until)
	}
	if ids := w.ids(); len(ids) > 0 {
		p.query("transfers_by_ids", have.scanTransfer, ids)
		p.query("closes_by_ids", have.scanClose, ids)
		p.query("refusals_by_ids", have.scanRefused, ids)
	}
	if len(w.Accounts) > 0 {
		p.query("accounts_by_ids", have.scanAccount, w.Accounts)
	}
	if len(w.Residents) > 0 {
		p.query("lots_of_owners", have.scanAccount, w.Residents)
	}
	if len(w.Parents) > 0 {
		p.query("accounts_of_transactions", have.scanAccount, w.Parents)
	}
	if len(w.Periods) > 0 {
		p.query("closes_of_programmes", have.scanClosed, programmesOf(w.Periods))
	}
	for _, c := range w.Closes {
		p.query("accounts_of_close", have.scanAccount, c.Programme, c.Period)
	}
}

func (s *postgresSession) write(ctx context.Context, r *rows) error {
	p := &pipeline{Store: s.Store}
	c := columnsOf(r)
	name, args := r.writeBatch(c)
	p.query(name, ignore, args...)
	for _, args := range c.closes { // after it has looked whether they are there
		p.exec("insert_close", 1, args...)
	}
	p.command("COMMIT")
	err := p.run(ctx, s.pgx)
	if err == nil {
		s.open = false
	}
	return written(s.Store, s.pgx, err)
}

func (e *postgres) unseen() bool { return true }

// write sends the whole of a batch as one statement, which is a transaction.
func (e *postgres) write(ctx context.Context, r *rows) error {
	session, err := e.begin(ctx)
	if err != nil {
		return err
	}
	defer session.end()
	conn := session.(*postgresSession).pgx
	p := &pipeline{Store: e.Store}
	name, args := r.writeBatch(columnsOf(r))
	p.query(name, ignore, args...)
	return written(e.Store, conn, p.run(ctx, conn))
}

// ignore is for a statement that says all by succeeding.
func ignore(scanner) error { return nil }

// written tells what the answer to a write means. An ERROR has rolled
// everything back. Anything else may have come after the commit: a server that
// goes down says FATAL, and a connection that breaks says nothing.
func written(s *Store, conn *pgx.Conn, err error) error {
	var pg *pgconn.PgError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &pg) && pg.SeverityUnlocalized == "ERROR" && !conn.IsClosed():
		if pg.Code == uniqueViolation || pg.Code == divisionByZero {
			return fmt.Errorf("%w: %w", errStale, err)
		}
		return classify(err)
	}
	// Whatever it still runs must not go on: it holds the head's lock.
	terminate(s, conn.PgConn().PID())
	return fmt.Errorf("%w: %w", errUnknown, err)
}

// What the statement write_batch fails with when it finds things changed.
const (
	uniqueViolation = "23505"
	divisionByZero  = "22012"
)

// terminate ends a session of ours at the server, if it is there and can be
// asked. The lock that it holds would otherwise go only with LeaseTime.
func terminate(s *Store, pid uint32) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_, _ = s.db.ExecContext(ctx, "SELECT pg_terminate_backend($1)", int32(pid)) // settle waits in any case
}

// notSent is the error of a batch that was not written.
func notSent(err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.SeverityUnlocalized == "ERROR" {
		return classify(err)
	}
	return fmt.Errorf("%w: %w", ledger.ErrUnavailable, err)
}

// classify tells faults of the server, which may pass, from faults of what was
// sent. Classes of SQLSTATE: 40 rollback, 53 resources (53100 is a full disk),
// 55 lock not available, 57 operator intervention, 58 system error.
func classify(err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch pg.Code[:2] {
		case "40", "53", "55", "57", "58":
			return fmt.Errorf("%w: %w", ledger.ErrUnavailable, err)
		}
	}
	return err
}
