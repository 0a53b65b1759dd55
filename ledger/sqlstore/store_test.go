package sqlstore_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"meguri/internal/sqldb"
	"meguri/internal/sqldb/sqldbtest"
	"meguri/ledger"
	"meguri/ledger/ledgertest"
	"meguri/ledger/programme"
	"meguri/ledger/registry"
	"meguri/ledger/sqlstore"
)

func TestMain(m *testing.M) { sqldbtest.Main(m) }

var engines = map[string]func(testing.TB) *sqldb.DB{"sqlite": sqldbtest.SQLite, "postgres": sqldbtest.Postgres}

// onBoth runs a test on a new store of each engine.
func onBoth(t *testing.T, test func(*testing.T, *sqlstore.Store, *sqldb.DB)) {
	for name, open := range engines {
		t.Run(name, func(t *testing.T) {
			db := open(t)
			test(t, openStore(t, db, time.Now), db)
		})
	}
}

func openStore(t testing.TB, db *sqldb.DB, now func() time.Time) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.Open(context.Background(), db, now)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// MT-3: a combined payment is whole or not at all. MT-6: a payment is cancelled
// once, as a whole, and a cancel is not reversible.
func TestStore_Conformance(t *testing.T) {
	for name, open := range engines {
		t.Run(name, func(t *testing.T) {
			ledgertest.TestStore(t, func(t testing.TB, now func() time.Time) ledger.Store {
				return openStore(t, open(t), now)
			})
		})
	}
}

// I13: SQLite, PostgreSQL and the store in memory give the same answers and rows
// to the same transactions.
func TestStores_AreTheSame(t *testing.T) {
	opens := map[string]ledgertest.Open{
		"memory": func(_ testing.TB, now func() time.Time) ledger.Store { return ledgertest.NewMemory(now) },
	}
	for name, open := range engines {
		opens[name] = func(t testing.TB, now func() time.Time) ledger.Store { return openStore(t, open(t), now) }
	}
	ledgertest.TestSame(t, opens)
}

func TestStatements_PrepareOnBothEngines(t *testing.T) {
	onBoth(t, func(t *testing.T, s *sqlstore.Store, db *sqldb.DB) {
		if err := s.PrepareAll(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

func TestSchema_PostedRowsCannotBeChanged(t *testing.T) {
	onBoth(t, func(t *testing.T, s *sqlstore.Store, db *sqldb.DB) {
		ctx := context.Background()
		accounts := []ledger.Account{
			{ID: "f", Programme: "v", Kind: ledger.FundsPaid, Owner: "v"},
			{ID: "l", Programme: "v", Kind: ledger.ResidentLot, Owner: "r"},
		}
		if err := s.OpenAccounts(ctx, accounts...); err != nil {
			t.Fatal(err)
		}
		many := ledger.Transaction{ID: "refused", Kind: ledger.Charge, Transfers: []ledger.Transfer{{Debit: "f", Credit: "nowhere", Amount: 1}}}
		_, err := s.Post(ctx, many, ledger.Transaction{ID: "closed", Kind: ledger.Close, Programme: "v", Period: "2020-01-03"})
		for i := 0; i < 64 && err == nil; i++ { // so that there is a mark
			_, err = s.Post(ctx, ledger.Transaction{ID: fmt.Sprint(i), Kind: ledger.Charge,
				Transfers: []ledger.Transfer{{Debit: "f", Credit: "l", Amount: 1}}})
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{
			"UPDATE transfers SET amount_yen = 2",
			"DELETE FROM transfers",
			"UPDATE refusals SET code = 'x'",
			"DELETE FROM batches",
			"UPDATE closes SET cut_seq = 1",
			"DELETE FROM account_marks",
		} {
			if _, err := db.ExecContext(ctx, text); err == nil || !strings.Contains(err.Error(), "posted rows are never") {
				t.Errorf("%s: got %v, want a refusal", text, err)
			}
		}
	})
}

func TestRegistry_KeepsWhatItIsGiven(t *testing.T) {
	onBoth(t, func(t *testing.T, s *sqlstore.Store, db *sqldb.DB) {
		ctx := context.Background()
		at := time.Date(2024, 4, 1, 0, 0, 0, 0, time.UTC)
		people := []registry.Resident{
			{ID: "r1", Name: "デモ 0001", Phone: "+810000000001", BornOn: "1950-01-02", Sex: registry.Female, Area: "下連雀", ConsentID: "c1", RegisteredAt: at},
			{ID: "r2", Name: "デモ 0002", Sex: registry.Unknown, Test: true, RegisteredAt: at},
		}
		for range 2 { // the second time changes nothing
			if err := s.PutResidents(ctx, people...); err != nil {
				t.Fatal(err)
			}
		}
		got, err := s.Residents(ctx, "", 10)
		if err != nil || !reflect.DeepEqual(got, people) {
			t.Errorf("got %+v, %v, want %+v", got, err, people)
		}
		if page, err := s.Residents(ctx, "r1", 10); err != nil || len(page) != 1 || page[0].ID != "r2" {
			t.Errorf("page after r1: got %+v, %v", page, err)
		}
		changed := people[0]
		changed.Area = "井の頭"
		if err := s.PutResidents(ctx, changed); !errors.Is(err, registry.ErrConflict) {
			t.Errorf("other content: got %v, want ErrConflict", err)
		}
		if _, err := s.Resident(ctx, "nobody"); !errors.Is(err, registry.ErrNotFound) {
			t.Errorf("absent: got %v, want ErrNotFound", err)
		}

		shop := registry.Shop{ID: "s1", Name: "デモ商店", Merchant: "m1", Industry: "grocery", Area: "下連雀", JoinedAt: at}
		if err := s.PutShops(ctx, shop); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Shop(ctx, "s1"); err != nil || got != shop {
			t.Errorf("shop: got %+v, %v", got, err)
		}
		shop.Operator = "7000012050002" // told later
		if err := s.PutShops(ctx, shop); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Shop(ctx, "s1"); err != nil || got != shop {
			t.Errorf("shop with an operator: got %+v, %v", got, err)
		}
		shop.Operator = "hq"
		if err := s.PutShops(ctx, shop); !errors.Is(err, registry.ErrConflict) {
			t.Errorf("another operator: got %v, want ErrConflict", err)
		}

		client := registry.Client{ID: "ingest", TokenDigest: "d", Scopes: []string{"payments.read", "residents.read"}}
		if err := s.PutClient(ctx, client); err != nil {
			t.Fatal(err)
		}
		if got, err := s.ClientByToken(ctx, "d"); err != nil || !reflect.DeepEqual(got, client) {
			t.Errorf("client: got %+v, %v", got, err)
		}
		if err := s.DeleteClient(ctx, "ingest"); err != nil {
			t.Error(err)
		}
		if err := s.DeleteClient(ctx, "ingest"); !errors.Is(err, registry.ErrNotFound) {
			t.Errorf("second delete: got %v, want ErrNotFound", err)
		}

		staff := registry.Staff{Login: "office", PasswordHash: "h", Role: registry.Office}
		for range 2 {
			if err := s.PutStaff(ctx, staff); err != nil {
				t.Fatal(err)
			}
		}
		if all, err := s.AllStaff(ctx); err != nil || len(all) != 1 || all[0] != staff {
			t.Errorf("staff: got %+v, %v", all, err)
		}

		p := programme.Programme{ID: "v", Name: "商品券", Class: programme.Voucher, UnitPrice: 1000, UnitValue: 1200, MaxUnits: 30, OpensOn: "2024-06-03", ClosesOn: "2024-08-31"}
		for range 2 {
			if err := s.PutProgramme(ctx, p); err != nil {
				t.Fatal(err)
			}
		}
		p2 := p
		p2.UnitValue = 1300
		if err := s.PutProgramme(ctx, p2); !errors.Is(err, programme.ErrConflict) {
			t.Errorf("other programme: got %v, want ErrConflict", err)
		}
		if all, err := s.Programmes(ctx); err != nil || len(all) != 1 || all[0] != p {
			t.Errorf("programmes: got %+v, %v", all, err)
		}
	})
}

// Act 35: of an erased resident nothing stays but the number, and it cannot be
// registered again.
func TestRegistry_ErasesResidents(t *testing.T) {
	onBoth(t, func(t *testing.T, s *sqlstore.Store, _ *sqldb.DB) {
		ctx, at := context.Background(), time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)
		hanako := registry.Resident{ID: "r-1", Name: "巡 花子", Phone: "+819012345678", BornOn: "1984-05-12", Sex: registry.Female, Area: "下連雀", ConsentID: "c-1", RegisteredAt: at}
		taro := registry.Resident{ID: "r-2", Name: "巡 太郎", Sex: registry.Male, RegisteredAt: at}
		if err := s.PutResidents(ctx, hanako, taro); err != nil {
			t.Fatal(err)
		}
		for hours := range 2 { // again changes nothing
			if err := s.EraseResidents(ctx, at.Add(time.Duration(1+hours)*time.Hour), "r-1", "r-9"); err != nil {
				t.Fatal(err)
			}
		}
		want := registry.Resident{ID: "r-1", Sex: registry.Unknown, RegisteredAt: at, ErasedAt: at.Add(time.Hour)}
		if got, err := s.Resident(ctx, "r-1"); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
		if all, err := s.Residents(ctx, "", 10); err != nil || len(all) != 1 || all[0].ID != "r-2" {
			t.Errorf("the list has %+v, %v", all, err)
		}
		if err := s.PutResidents(ctx, hanako); !errors.Is(err, registry.ErrConflict) {
			t.Errorf("registered again: %v", err)
		}
	})
}

// Whoever changes the past, past the triggers too, is told by verify.
func TestVerify_NamesTheFirstFault(t *testing.T) {
	drop := map[sqldb.Dialect]string{
		sqldb.SQLite: `DROP TRIGGER transfers_keep_update; DROP TRIGGER transfers_keep_delete;
			DROP TRIGGER batches_keep_update; DROP TRIGGER batches_keep_delete`,
		sqldb.Postgres: `DROP TRIGGER transfers_keep ON transfers; DROP TRIGGER batches_keep ON batches`,
	}
	for name, c := range map[string]struct {
		tamper string
		want   string
	}{
		"an amount":             {"UPDATE transfers SET amount_yen = 7 WHERE seq = 3", "entry 3: the balances after"},
		"an amount and balance": {"UPDATE transfers SET amount_yen = 7, debit_after = debit_after + 3, credit_after = credit_after - 3 WHERE seq = 5", "seal of the batch"},
		"an actor":              {"UPDATE transfers SET actor = 'nobody' WHERE seq = 2", "entry 2: the seal of the batch from 2 to 2"},
		"a row taken out":       {"DELETE FROM transfers WHERE seq = 4", "transfer 4 is missing"},
		"a seal":                {"UPDATE batches SET seal = 'x' WHERE first_seq = 4", "entry 4: the seal"},
		"a batch taken out":     {"DELETE FROM batches WHERE first_seq = 5", "entry 5: no batch"},
		"an account":            {"UPDATE balances SET credits = credits + 1 WHERE number = (SELECT number FROM accounts WHERE id = 'l')", "account l holds"},
		"a time":                {"UPDATE transfers SET ledger_at = ledger_at - 1000000000 WHERE seq = 4", "entry 4: ledger time does not rise"},
	} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, s *sqlstore.Store, db *sqldb.DB) {
				ctx := context.Background()
				err := s.OpenAccounts(ctx, ledger.Account{ID: "f", Programme: "v", Kind: ledger.FundsPaid, Owner: "v"},
					ledger.Account{ID: "l", Programme: "v", Kind: ledger.ResidentLot, Owner: "r"})
				if err != nil {
					t.Fatal(err)
				}
				for i := range 5 {
					_, err := s.Post(ctx, ledger.Transaction{ID: fmt.Sprint(i), Kind: ledger.Charge, Actor: "a",
						Transfers: []ledger.Transfer{{Debit: "f", Credit: "l", Amount: 10}}})
					if err != nil {
						t.Fatal(err)
					}
				}
				if _, err := ledger.Verify(ctx, s, func(int64) {}); err != nil {
					t.Fatalf("before: %v", err)
				}
				if _, err := db.ExecContext(ctx, drop[db.Dialect]+"; "+c.tamper); err != nil {
					t.Fatal(err)
				}
				_, err = ledger.Verify(ctx, s, func(int64) {})
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("got %v, want a fault that says %q", err, c.want)
				}
			})
		})
	}
}
