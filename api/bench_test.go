package api

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"meguri/ledger"
	"meguri/ledger/programme"
)

// still answers every payment at once, so that what is left is the way through
// the handlers.
type still struct{}

func (still) Post(_ context.Context, tx ledger.Transaction) (ledger.Outcome, error) {
	now := time.Now()
	return ledger.Outcome{Posted: ledger.Posted{
		ID: tx.ID, Kind: tx.Kind, Resident: tx.Resident, Shop: tx.Shop, Terminal: tx.Terminal, Actor: tx.Actor,
		At: now, LedgerAt: now, BusinessOn: "2026-08-01", Entries: []ledger.Entry{{
			Seq: 1, Programme: voucher, ResidentAfter: 12_900, Transfer: ledger.Transfer{
				Debit: ledger.LotID(voucher, tx.Resident, ledger.Paid, "2026-12-31"), Credit: tx.Spends[0].Into[0], Amount: tx.Spends[0].Amount,
			},
		}},
	}}, nil
}

// discard is a log that is written and thrown away.
type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// BenchmarkPay is one payment: "chain" without a ledger, "ledger" with the one
// in memory.
func BenchmarkPay(b *testing.B) {
	for name, poster := range map[string]func(*memory) programme.Poster{
		"chain":  func(*memory) programme.Poster { return still{} },
		"ledger": func(m *memory) programme.Poster { return poster{m} },
	} {
		b.Run(name, func(b *testing.B) {
			s := newTestServer(b, slog.New(slog.NewJSONHandler(discard{}, nil)))
			if _, err := s.memory.Memory.Post(b.Context(), ledger.Transaction{
				ID: "plenty", Kind: ledger.Grant, Resident: resident,
				Opens:     []ledger.Account{{ID: "lot", Programme: voucher, Kind: ledger.ResidentLot, Owner: resident}},
				Transfers: []ledger.Transfer{{Debit: ledger.FundsID(voucher, ledger.FundsPremium), Credit: "lot", Amount: 1 << 50}},
			}); err != nil {
				b.Fatal(err)
			}
			s.server.Desk.Poster = poster(s.memory)
			const body = `{"resident_id":"r-0001","shop_id":"s-001","terminal_id":"t-01","parts":[{"programme_id":"voucher-2026","amount_yen":100}]}`
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				r := httptest.NewRequest("POST", "/wallet/v1/payments", strings.NewReader(body))
				r.Header.Set("Content-Type", "application/json")
				r.Header.Set("Authorization", "Bearer token-app")
				r.Header.Set("Idempotency-Key", fmt.Sprintf("00000000-0000-4000-8000-%012d", n))
				w := httptest.NewRecorder()
				s.server.mux.ServeHTTP(w, r)
				if w.Code != http.StatusCreated {
					b.Fatalf("%d %s", w.Code, w.Body)
				}
			}
		})
	}
}
