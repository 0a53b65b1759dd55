package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"meguri/ingest"
)

// PutImport enters an import, or its later state, with its days and totals.
func (s *Store) PutImport(ctx context.Context, i ingest.ImportRecord) error {
	return s.db.InTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, s.sql.Get("put_import"), i.ID, i.Source, i.File, i.StartedAt.UnixMicro(), micros(i.FinishedAt),
			i.Summary.Read, i.Summary.Accepted, i.Summary.Duplicate, i.Summary.Quarantined, i.Summary.Bytes,
			orPayment(i.Dataset), i.Continues, i.Summary.Ahead.Microseconds())
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, s.sql.Get("delete_days"), i.ID); err != nil {
			return err
		}
		for _, d := range i.Summary.Days {
			if _, err := tx.ExecContext(ctx, s.sql.Get("insert_day"), i.ID, d.Day, d.Kind, d.Rows, d.AmountYen); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, s.sql.Get("delete_totals"), i.ID); err != nil {
			return err
		}
		for _, t := range i.Summary.Totals {
			if _, err := tx.ExecContext(ctx, s.sql.Get("insert_total"), i.ID, t.Day, t.Kind,
				t.RowsTold, t.RowsRead, t.YenTold, t.YenRead); err != nil {
				return err
			}
		}
		return nil
	})
}

func micros(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	n := t.UnixMicro()
	return &n
}

func instant(n sql.NullInt64) time.Time {
	if !n.Valid {
		return time.Time{}
	}
	return time.UnixMicro(n.Int64).UTC()
}

func orPayment(dataset string) string {
	if dataset == "" {
		return ingest.PaymentDataset
	}
	return dataset
}

// Imports returns the imports, the newest first.
func (s *Store) Imports(ctx context.Context, limit int) ([]ingest.ImportRecord, error) {
	return collect(ctx, s.db, func(rows *sql.Rows) (i ingest.ImportRecord, err error) {
		var started, ahead int64
		var finished sql.NullInt64
		m := &i.Summary
		err = rows.Scan(&i.ID, &i.Source, &i.File, &started, &finished, &m.Read, &m.Accepted, &m.Duplicate, &m.Quarantined,
			&m.Bytes, &i.Dataset, &i.Continues, &ahead)
		i.StartedAt, i.FinishedAt, m.Ahead = time.UnixMicro(started).UTC(), instant(finished), time.Duration(ahead)*time.Microsecond
		m.ImportID, m.Source, m.Dataset = i.ID, i.Source, i.Dataset
		return i, err
	}, s.sql.Get("list_imports"), limit)
}

// Days returns what an import read of each day.
func (s *Store) Days(ctx context.Context, importID string) ([]ingest.DayTotal, error) {
	return collect(ctx, s.db, func(rows *sql.Rows) (d ingest.DayTotal, err error) {
		err = rows.Scan(&d.Day, &d.Kind, &d.Rows, &d.AmountYen)
		return d, err
	}, s.sql.Get("list_days"), importID)
}

// Totals returns what an import's source said of each day.
func (s *Store) Totals(ctx context.Context, importID string) ([]ingest.TotalCheck, error) {
	return collect(ctx, s.db, func(rows *sql.Rows) (t ingest.TotalCheck, err error) {
		err = rows.Scan(&t.Day, &t.Kind, &t.RowsTold, &t.RowsRead, &t.YenTold, &t.YenRead)
		return t, err
	}, s.sql.Get("list_totals"), importID)
}

// PutQuarantine enters a quarantine file, or its number of rows.
func (s *Store) PutQuarantine(ctx context.Context, q ingest.Quarantine) error {
	return s.db.InTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, s.sql.Get("put_quarantine"), q.ImportID, q.Source, orPayment(q.Dataset), q.File, q.Rows,
			q.OpenedAt.UnixMicro(), q.Layout)
		return err
	})
}

// Quarantines returns them all, the oldest first.
func (s *Store) Quarantines(ctx context.Context) ([]ingest.Quarantine, error) {
	return collect(ctx, s.db, func(rows *sql.Rows) (q ingest.Quarantine, err error) {
		var opened int64
		var changed sql.NullInt64
		err = rows.Scan(&q.ImportID, &q.Source, &q.Dataset, &q.File, &q.Rows, &opened, &q.State, &q.Layout,
			&changed, &q.ChangedBy, &q.Reason, &q.RetriedAs)
		q.OpenedAt, q.ChangedAt = time.UnixMicro(opened).UTC(), instant(changed)
		return q, err
	}, s.sql.Get("list_quarantines"))
}

// SettleQuarantine ends an open one.
func (s *Store) SettleQuarantine(ctx context.Context, q ingest.Quarantine) (settled bool, err error) {
	err = s.db.InTx(ctx, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, s.sql.Get("settle_quarantine"), string(q.State), q.ChangedAt.UnixMicro(), q.ChangedBy,
			q.Reason, q.RetriedAs, q.ImportID)
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		settled = n == 1
		return err
	})
	return settled, err
}

// PutCheckpoint keeps how far a file was read.
func (s *Store) PutCheckpoint(ctx context.Context, c ingest.Checkpoint) error {
	pending, err := json.Marshal(c.Pending)
	if err != nil {
		return err
	}
	days, err := json.Marshal(c.Days)
	if err != nil {
		return err
	}
	return s.db.InTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, s.sql.Get("put_checkpoint"), c.Source, c.File, c.ImportID, c.Layout, c.Offset, int64(c.Hash),
			c.Line, c.Rows, string(pending), string(days))
		return err
	})
}

// Checkpoint returns how far a file was read, or nil.
func (s *Store) Checkpoint(ctx context.Context, source, file string) (*ingest.Checkpoint, error) {
	c := ingest.Checkpoint{Source: source, File: file}
	var hash int64
	var pending, days string
	err := s.db.QueryRowContext(ctx, s.sql.Get("get_checkpoint"), source, file).
		Scan(&c.ImportID, &c.Layout, &c.Offset, &hash, &c.Line, &c.Rows, &pending, &days)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	c.Hash = uint64(hash)
	return &c, errors.Join(json.Unmarshal([]byte(pending), &c.Pending), json.Unmarshal([]byte(days), &c.Days))
}

// DropCheckpoint forgets how far a file was read.
func (s *Store) DropCheckpoint(ctx context.Context, source, file string) error {
	return s.db.InTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, s.sql.Get("drop_checkpoint"), source, file)
		return err
	})
}
