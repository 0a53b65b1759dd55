package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"meguri/ledger"
	"meguri/ledger/programme"
	"meguri/ledger/registry"
)

var (
	_ registry.Store  = (*Store)(nil)
	_ programme.Store = (*Store)(nil)
)

// PutResidents implements registry.Store.
func (s *Store) PutResidents(ctx context.Context, residents ...registry.Resident) error {
	return s.inTx(ctx, func(p *prepared) error {
		for _, r := range residents {
			r.RegisteredAt = instant(micros(r.RegisteredAt))
			err := put(ctx, p, "resident", scanResident, r.ID, r,
				r.ID, r.Name, r.Phone, r.BornOn, r.Sex, r.Area, r.ConsentID, r.Test, micros(r.RegisteredAt))
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// put inserts a row, and compares it with the one that stands there if the ID
// is taken.
func put[T comparable](ctx context.Context, p *prepared, what string, scan func(scanner) (T, error), id string, want T, args ...any) error {
	if err := p.exec(ctx, "insert_"+what, args...); err != nil {
		return err
	}
	st, err := p.stmt(ctx, what)
	if err != nil {
		return err
	}
	have, err := scan(st.QueryRowContext(ctx, id).Scan)
	if err != nil {
		return fmt.Errorf("read %s: %w", what, err)
	}
	if have != want {
		return fmt.Errorf("%s: %w", what, registry.ErrConflict)
	}
	return nil
}

// Residents implements registry.Store.
func (s *Store) Residents(ctx context.Context, after string, limit int) ([]registry.Resident, error) {
	return collect(ctx, s.db, s.statements.Get("residents_after"), scanResident, after, limit)
}

// Resident implements registry.Store.
func (s *Store) Resident(ctx context.Context, id string) (registry.Resident, error) {
	return one(s.row(ctx, "resident", id), scanResident, registry.ErrNotFound)
}

func scanResident(scan scanner) (r registry.Resident, err error) {
	var at, erased int64
	err = scan(&r.ID, &r.Name, &r.Phone, &r.BornOn, &r.Sex, &r.Area, &r.ConsentID, &r.Test, &at, &erased)
	r.RegisteredAt = instant(at)
	if erased != 0 {
		r.ErasedAt = instant(erased)
	}
	return r, err
}

// CorrectResident corrects the birth date, sex and area of a resident (訂正). What
// was erased stays so.
func (s *Store) CorrectResident(ctx context.Context, r registry.Resident) error {
	return s.inTx(ctx, func(p *prepared) error { return p.exec(ctx, "correct_resident", r.BornOn, r.Sex, r.Area, r.ID) })
}

// EraseResidents empties what is known of residents (消去). Their numbers stay,
// and so does every posting; one that was erased cannot be registered again.
func (s *Store) EraseResidents(ctx context.Context, at time.Time, ids ...string) error {
	return s.inTx(ctx, func(p *prepared) error {
		for _, id := range ids {
			if err := p.exec(ctx, "erase_resident", micros(at), id); err != nil {
				return err
			}
		}
		return nil
	})
}

// PutShops implements registry.Store.
func (s *Store) PutShops(ctx context.Context, shops ...registry.Shop) error {
	return s.inTx(ctx, func(p *prepared) error {
		for _, v := range shops {
			v.JoinedAt = instant(micros(v.JoinedAt))
			err := put(ctx, p, "shop", scanShop, v.ID, v, v.ID, v.Name, v.Merchant, v.Operator, v.Industry, v.Area, micros(v.JoinedAt))
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Shops implements registry.Store.
func (s *Store) Shops(ctx context.Context, after string, limit int) ([]registry.Shop, error) {
	return collect(ctx, s.db, s.statements.Get("shops_after"), scanShop, after, limit)
}

// Shop implements registry.Store.
func (s *Store) Shop(ctx context.Context, id string) (registry.Shop, error) {
	return one(s.row(ctx, "shop", id), scanShop, registry.ErrNotFound)
}

func scanShop(scan scanner) (v registry.Shop, err error) {
	var at int64
	err = scan(&v.ID, &v.Name, &v.Merchant, &v.Operator, &v.Industry, &v.Area, &at)
	v.JoinedAt = instant(at)
	return v, err
}

// PutProgramme implements programme.Store.
func (s *Store) PutProgramme(ctx context.Context, v programme.Programme) error {
	err := s.inTx(ctx, func(p *prepared) error {
		return put(ctx, p, "programme", scanProgramme, string(v.ID), v,
			v.ID, v.Name, v.Class, v.UnitPrice, v.UnitValue, v.MaxUnits, v.IssueUnits, v.SpendFirst, v.Settlement, v.OpensOn, v.ClosesOn)
	})
	if errors.Is(err, registry.ErrConflict) {
		return programme.ErrConflict
	}
	return err
}

// Programme implements programme.Store.
func (s *Store) Programme(ctx context.Context, id ledger.ProgrammeID) (programme.Programme, error) {
	return one(s.row(ctx, "programme", id), scanProgramme, programme.ErrNotFound)
}

// Programmes implements programme.Store.
func (s *Store) Programmes(ctx context.Context) ([]programme.Programme, error) {
	return collect(ctx, s.db, s.statements.Get("programmes"), scanProgramme)
}

func scanProgramme(scan scanner) (v programme.Programme, err error) {
	err = scan(&v.ID, &v.Name, &v.Class, &v.UnitPrice, &v.UnitValue, &v.MaxUnits, &v.IssueUnits, &v.SpendFirst, &v.Settlement, &v.OpensOn, &v.ClosesOn)
	return v, err
}

// PutStaff implements registry.Store.
func (s *Store) PutStaff(ctx context.Context, v registry.Staff) error {
	_, err := s.db.ExecContext(ctx, s.statements.Get("upsert_staff"), v.Login, v.PasswordHash, v.Role, v.Shop)
	return err
}

// Staff implements registry.Store.
func (s *Store) Staff(ctx context.Context, login string) (registry.Staff, error) {
	return one(s.row(ctx, "staff", login), scanStaff, registry.ErrNotFound)
}

// AllStaff implements registry.Store.
func (s *Store) AllStaff(ctx context.Context) ([]registry.Staff, error) {
	return collect(ctx, s.db, s.statements.Get("all_staff"), scanStaff)
}

// DeleteStaff implements registry.Store.
func (s *Store) DeleteStaff(ctx context.Context, login string) error {
	return s.delete(ctx, "delete_staff", login)
}

func scanStaff(scan scanner) (v registry.Staff, err error) {
	err = scan(&v.Login, &v.PasswordHash, &v.Role, &v.Shop)
	return v, err
}

// PutClient implements registry.Store.
func (s *Store) PutClient(ctx context.Context, c registry.Client) error {
	_, err := s.db.ExecContext(ctx, s.statements.Get("upsert_client"), c.ID, c.TokenDigest, strings.Join(c.Scopes, " "))
	return err
}

// ClientByToken implements registry.Store.
func (s *Store) ClientByToken(ctx context.Context, digest string) (registry.Client, error) {
	return one(s.row(ctx, "client_by_token", digest), scanClient, registry.ErrNotFound)
}

// AllClients implements registry.Store.
func (s *Store) AllClients(ctx context.Context) ([]registry.Client, error) {
	return collect(ctx, s.db, s.statements.Get("all_clients"), scanClient)
}

// DeleteClient implements registry.Store.
func (s *Store) DeleteClient(ctx context.Context, id string) error {
	return s.delete(ctx, "delete_client", id)
}

func scanClient(scan scanner) (c registry.Client, err error) {
	var scopes string
	err = scan(&c.ID, &c.TokenDigest, &scopes)
	c.Scopes = strings.Fields(scopes)
	return c, err
}

func (s *Store) delete(ctx context.Context, statement, id string) error {
	res, err := s.db.ExecContext(ctx, s.statements.Get(statement), id)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, registry.ErrNotFound)
	}
	return nil
}

// one scans a single row; no row is the error absent.
func one[T any](row scanner, scan func(scanner) (T, error), absent error) (T, error) {
	v, err := scan(row)
	if errors.Is(err, sql.ErrNoRows) {
		return v, absent
	}
	return v, err
}
