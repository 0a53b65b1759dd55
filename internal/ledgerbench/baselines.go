package ledgerbench

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/mattn/go-sqlite3"

	"meguri/internal/sqldb"
)

// Plain is what the ledger is compared with: the same payments on two plain
// tables, accounts with a balance and transfers with both balances after, on
// the same database with the same durability. No rule is checked but, by the
// naive way, that the money is there; nothing is kept of requests, and there is
// no chain.
type Plain struct {
	db       *sqldb.DB
	accounts int
}

// BuildPlain makes the tables with accounts that have money.
func BuildPlain(ctx context.Context, db *sqldb.DB, accounts int) (*Plain, error) {
	hot, pk := "", "INTEGER"
	if db.Dialect == sqldb.Postgres {
		hot, pk = " WITH (fillfactor = 60)", "BIGINT"
	}
	for _, text := range []string{
		"CREATE TABLE plain_accounts (id TEXT PRIMARY KEY, balance BIGINT NOT NULL, version BIGINT NOT NULL)" + hot,
		"CREATE TABLE plain_transfers (seq " + pk + " PRIMARY KEY, id TEXT NOT NULL UNIQUE, debit TEXT NOT NULL, credit TEXT NOT NULL, " +
			"amount BIGINT NOT NULL, debit_after BIGINT NOT NULL, credit_after BIGINT NOT NULL, at BIGINT NOT NULL)",
	} {
		if _, err := db.ExecContext(ctx, text); err != nil {
			return nil, err
		}
	}
	if db.Dialect == sqldb.Postgres {
		if _, err := db.ExecContext(ctx, "CREATE SEQUENCE plain_seq CACHE 1"); err != nil {
			return nil, err
		}
	}
	err := db.InTx(ctx, func(tx *sql.Tx) error {
		st, err := tx.PrepareContext(ctx, "INSERT INTO plain_accounts (id, balance, version) VALUES ($1, 1000000000, 0)")
		for i := 0; i < accounts && err == nil; i++ {
			_, err = st.ExecContext(ctx, account(i))
		}
		return err
	})
	return &Plain{db, accounts}, err
}

func account(i int) string { return fmt.Sprintf("acct-%06d", i) }

func (p *Plain) draw(r *rand.Rand, hot bool) (from, to, id string, amount int64) {
	a, b := 1+r.IntN(p.accounts-1), 0
	if !hot {
		for b = r.IntN(p.accounts); b == a; {
			b = r.IntN(p.accounts)
		}
	}
	key, err := uuid.NewV7()
	if err != nil {
		panic(err) // the system has no randomness left
	}
	return account(a), account(b), key.String(), int64(1 + r.IntN(3000))
}

// Naive does one database transaction a payment, which locks both accounts.
func (p *Plain) Naive(ctx context.Context, clients int, d time.Duration, hot bool, cpu Meter) (Result, error) {
	p.db.SetMaxOpenConns(clients)
	p.db.SetMaxIdleConns(clients)
	if p.db.Dialect == sqldb.Postgres {
		if _, err := p.db.ExecContext(ctx, "SELECT setval('plain_seq', (SELECT COALESCE(MAX(seq), 0) + 1 FROM plain_transfers))"); err != nil {
			return Result{}, err
		}
	}
	lock, next := "", "SELECT COALESCE(MAX(seq), 0) + 1 FROM plain_transfers"
	if p.db.Dialect == sqldb.Postgres {
		lock, next = " FOR UPDATE", "SELECT nextval('plain_seq')"
	}
	return closedLoop(ctx, clients, d, cpu, func(r *rand.Rand) error {
		from, to, id, amount := p.draw(r, hot)
		first, second := min(from, to), max(from, to)
		unlock, err := p.db.LockWriting()
		if err != nil {
			return err
		}
		defer unlock()
		tx, err := p.db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }() // after Commit it does nothing
		balance := map[string]int64{}
		for _, id := range []string{first, second} { // one order, so that nobody waits in a ring
			var b int64
			if err := tx.QueryRowContext(ctx, "SELECT balance FROM plain_accounts WHERE id = $1"+lock, id).Scan(&b); err != nil {
				return err
			}
			balance[id] = b
		}
		if balance[from] < amount {
			return errors.New("no money")
		}
		var seq int64
		if err := tx.QueryRowContext(ctx, next).Scan(&seq); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "INSERT INTO plain_transfers (seq, id, debit, credit, amount, debit_after, credit_after, at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
			seq, id, from, to, amount, balance[from]-amount, balance[to]+amount, time.Now().UnixMicro())
		if err != nil {
			return err
		}
		for id, change := range map[string]int64{from: -amount, to: amount} {
			if _, err := tx.ExecContext(ctx, "UPDATE plain_accounts SET balance = balance + $1, version = version + 1 WHERE id = $2", change, id); err != nil {
				return err
			}
		}
		return tx.Commit()
	})
}

// Commit measures a bare commit: one client, one row.
func (p *Plain) Commit(ctx context.Context, d time.Duration, cpu Meter) (Result, error) {
	if _, err := p.db.ExecContext(ctx, "CREATE TABLE plain_row (n BIGINT NOT NULL)"); err != nil {
		return Result{}, err
	}
	st, err := p.db.PrepareContext(ctx, "INSERT INTO plain_row (n) VALUES ($1)")
	if err != nil {
		return Result{}, err
	}
	res, err := closedLoop(ctx, 1, d, cpu, func(r *rand.Rand) error {
		_, err := st.ExecContext(ctx, r.Int64())
		return err
	})
	return res, errors.Join(err, st.Close())
}

// ceilingBatch is how many payments the ceiling commits at once.
const ceilingBatch = 1000

// Ceiling is the most that one writer can do: it commits 1,000 payments at a
// time, made beforehand, without reading or checking anything.
func (p *Plain) Ceiling(ctx context.Context, d time.Duration, hot bool, cpu Meter) (Result, error) {
	var seq int64
	if err := p.db.QueryRowContext(ctx, "SELECT COALESCE(MAX(seq), 0) FROM plain_transfers").Scan(&seq); err != nil {
		return Result{}, err
	}
	conn, err := p.db.Conn(ctx)
	if err != nil {
		return Result{}, err
	}
	defer func() { _ = conn.Close() }() // back to the pool
	r := rand.New(rand.NewPCG(3, 3))
	res, err := closedLoop(ctx, 1, d, cpu, func(*rand.Rand) error {
		b := p.batch(r, hot, &seq)
		unlock, err := p.db.LockWriting()
		if err != nil {
			return err
		}
		defer unlock()
		return conn.Raw(func(d any) error {
			if c, ok := d.(*stdlib.Conn); ok {
				return b.postgres(ctx, c.Conn())
			}
			return b.sqlite(d.(*sqlite3.SQLiteConn))
		})
	})
	res.Postings *= ceilingBatch
	return res, err
}

type plainBatch struct {
	seq, amount, debitAfter, creditAfter, at []int64
	id, debit, credit                        []string
	touched                                  []string
	change, times                            []int64
}

func (p *Plain) batch(r *rand.Rand, hot bool, seq *int64) *plainBatch {
	b := &plainBatch{}
	change := map[string]int64{}
	times := map[string]int64{}
	for range ceilingBatch {
		from, to, id, amount := p.draw(r, hot)
		*seq++
		b.seq, b.amount, b.at = append(b.seq, *seq), append(b.amount, amount), append(b.at, time.Now().UnixMicro())
		b.id, b.debit, b.credit = append(b.id, id), append(b.debit, from), append(b.credit, to)
		b.debitAfter, b.creditAfter = append(b.debitAfter, change[from]-amount), append(b.creditAfter, change[to]+amount)
		change[from] -= amount
		change[to] += amount
		times[from]++
		times[to]++
	}
	for id, c := range change {
		b.touched, b.change, b.times = append(b.touched, id), append(b.change, c), append(b.times, times[id])
	}
	return b
}

func (b *plainBatch) postgres(ctx context.Context, conn *pgx.Conn) error {
	var batch pgx.Batch
	batch.Queue("BEGIN")
	batch.Queue(`INSERT INTO plain_transfers (seq, id, debit, credit, amount, debit_after, credit_after, at)
		SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[])`,
		b.seq, b.id, b.debit, b.credit, b.amount, b.debitAfter, b.creditAfter, b.at)
	batch.Queue(`UPDATE plain_accounts SET balance = balance + x.change, version = version + x.times
		FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS x(id, change, times) WHERE plain_accounts.id = x.id`,
		b.touched, b.change, b.times)
	batch.Queue("COMMIT")
	return conn.SendBatch(ctx, &batch).Close()
}

func (b *plainBatch) sqlite(conn *sqlite3.SQLiteConn) error {
	run := func(text string, n int, args func(i int) []driver.Value) error {
		st, err := conn.Prepare(text)
		if err != nil {
			return err
		}
		for i := 0; i < n && err == nil; i++ {
			var named []driver.NamedValue
			for j, v := range args(i) {
				named = append(named, driver.NamedValue{Ordinal: j + 1, Value: v})
			}
			_, err = st.(driver.StmtExecContext).ExecContext(context.Background(), named)
		}
		return errors.Join(err, st.Close())
	}
	if _, err := conn.Exec("BEGIN IMMEDIATE", nil); err != nil {
		return err
	}
	err := run("INSERT INTO plain_transfers (seq, id, debit, credit, amount, debit_after, credit_after, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", len(b.seq),
		func(i int) []driver.Value {
			return []driver.Value{b.seq[i], b.id[i], b.debit[i], b.credit[i], b.amount[i], b.debitAfter[i], b.creditAfter[i], b.at[i]}
		})
	if err == nil {
		err = run("UPDATE plain_accounts SET balance = balance + ?, version = version + ? WHERE id = ?", len(b.touched),
			func(i int) []driver.Value { return []driver.Value{b.change[i], b.times[i], b.touched[i]} })
	}
	if err == nil {
		_, err = conn.Exec("COMMIT", nil)
	}
	return err
}
