package sqlstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"meguri/internal/sqldb"
	"meguri/ledger"
)

// transfersBetween reads a stretch of the sequence, for those who read all of it.
// From PostgreSQL it takes the columns as they come over the wire, at half of
// what database/sql takes, which puts each value in a box first.
func (s *Store) transfersBetween(ctx context.Context, first, last ledger.Seq) (all []transfer, err error) {
	text := s.statements.Get("transfers_between")
	if s.db.Dialect != sqldb.Postgres {
		return collect(ctx, s.db, text, scanTransfer, first, last)
	}
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return nil, reached(err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }() // back to the pool
	all = make([]transfer, 0, last-first+1)
	err = conn.Raw(func(d any) error {
		rows, err := d.(*stdlib.Conn).Conn().Query(ctx, text, first, last)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			t, err := scanTransfer(fromWire(rows))
			if err != nil {
				return err
			}
			all = append(all, t)
		}
		return rows.Err()
	})
	return all, reached(err)
}

// fromWire scans the columns of the row where rows stands: BIGINT and what is
// kept as it, TEXT, and BYTEA. Bytes are good until the next row.
func fromWire(rows pgx.Rows) scanner {
	return func(to ...any) error {
		fields := rows.FieldDescriptions()
		for i, value := range rows.RawValues() {
			var number int64
			switch to := to[i].(type) {
			case *string, *ledger.Kind, *ledger.AccountID, *ledger.ProgrammeID: // the same in both formats
			default:
				switch _, raw := to.(*[]byte); {
				case fields[i].Format != pgx.BinaryFormatCode, !raw && len(value) != 8:
					return fmt.Errorf("column %s does not come as what a %T takes", fields[i].Name, to)
				case !raw:
					number = int64(binary.BigEndian.Uint64(value))
				}
			}
			switch to := to[i].(type) {
			case *string:
				*to = string(value)
			case *ledger.Kind:
				*to = ledger.Kind(value)
			case *ledger.AccountID:
				*to = ledger.AccountID(value)
			case *ledger.ProgrammeID:
				*to = ledger.ProgrammeID(value)
			case *[]byte:
				*to = value
			case *int64:
				*to = number
			case *ledger.Yen:
				*to = ledger.Yen(number)
			case *ledger.Seq:
				*to = ledger.Seq(number)
			default:
				return fmt.Errorf("column %s cannot be read into a %T", fields[i].Name, to)
			}
		}
		return nil
	}
}
