package main

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"meguri/openapi/wallet"
	"meguri/openapi/wallet/client"
)

// A payment that was answered is in the ledger, whatever happens to the server
// after it; and one that was not can be sent again without being paid twice.
func TestKill_WhatWasAnsweredIsKept(t *testing.T) {
	r := seeded(t)
	ctx, dir := context.Background(), t.TempDir()
	token := strings.TrimSpace(string(mustRun(t, dir, "access", "add-client", "till", "wallet.read", "wallet.write", "ledger.post")))

	server, till := startServer(t, dir, token)
	must := func(answer interface{ StatusCode() int }, err error) {
		t.Helper()
		if err != nil || answer.StatusCode() >= 300 {
			t.Fatalf("got %v, %v", answer, err)
		}
	}
	must(till.PutProgrammeWithResponse(ctx, "v", wallet.ProgrammeContent{
		Name: "試験用", Class: wallet.ProgrammeClassVoucher, UnitPriceYen: 1000, UnitValueYen: 1200,
	}))
	must(till.RegisterResidentsWithResponse(ctx, wallet.ResidentBatch{Residents: []wallet.Resident{
		{ResidentID: "r1", ConsentID: "c1", RegisteredAt: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)},
	}}))
	must(till.RegisterShopsWithResponse(ctx, wallet.ShopBatch{Shops: []wallet.Shop{
		{ShopID: "s1", Name: "試験店", Industry: wallet.IndustryGrocery, JoinedAt: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)},
	}}))
	must(till.ChargeWithResponse(ctx, &wallet.ChargeParams{IdempotencyKey: uuid.NewString()},
		wallet.ChargeRequest{ResidentID: "r1", ProgrammeID: "v", Units: 1000}))

	pay := func(c *client.ClientWithResponses, id string) (status int) {
		answer, err := c.PayWithResponse(ctx, &wallet.PayParams{IdempotencyKey: id},
			wallet.PayRequest{ResidentID: "r1", ShopID: "s1", Parts: []wallet.Part{{ProgrammeID: "v", AmountYen: 1}}})
		if err != nil {
			return 0 // no answer
		}
		return answer.StatusCode()
	}
	var mu sync.Mutex
	var answered, unanswered []string
	for range 3 {
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				for {
					id := uuid.NewString()
					status := pay(till, id)
					mu.Lock()
					if status == http.StatusOK || status == http.StatusCreated {
						answered = append(answered, id)
					} else {
						unanswered = append(unanswered, id)
					}
					mu.Unlock()
					if status == 0 {
						return // the server is gone
					}
				}
			})
		}
		time.Sleep(100*time.Millisecond + time.Duration(r.Int64N(int64(300*time.Millisecond))))
		if err := server.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = server.Wait() // it was killed
		wg.Wait()
		server, till = startServer(t, dir, token)
	}

	for _, id := range answered {
		if tx, err := till.GetTransactionWithResponse(ctx, id, nil); err != nil || tx.JSON200 == nil {
			t.Fatalf("payment %s was answered and is not in the ledger: %v", id, err)
		}
	}
	for _, id := range unanswered { // their senders ask again
		if status := pay(till, id); status >= 300 || status == 0 {
			t.Fatalf("payment %s, sent again, gets %d", id, status)
		}
	}
	balances, err := till.GetBalancesWithResponse(ctx, "r1", nil)
	if err != nil || balances.JSON200 == nil {
		t.Fatalf("balances: %v", err)
	}
	if got, want := balances.JSON200.Balances[0].BalanceYen, int64(1_200_000-len(answered)-len(unanswered)); got != want {
		t.Errorf("the balance is %d yen, want %d: each payment once", got, want)
	}
	if err := server.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := server.Wait(); err != nil {
		t.Errorf("the server did not stop gracefully: %v", err)
	}
	if out := mustRun(t, dir, "ledger", "verify"); !bytes.Contains(out, []byte("the ledger is right")) {
		t.Errorf("verify says %s", out)
	}
	t.Logf("%d payments answered, %d sent again", len(answered), len(unanswered))
}

// startServer starts a server over a folder and returns a client of it.
func startServer(t *testing.T, dir, token string) (*exec.Cmd, *client.ClientWithResponses) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "address")
	cmd := meguri(t, dir, "serve", "--listen", "127.0.0.1:0", "--address-file", file, "--log-level", "error")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // does nothing to one that has ended
	for range 300 {
		address, err := os.ReadFile(file)
		if err != nil {
			time.Sleep(50 * time.Millisecond)
			continue
		}
		c, err := client.NewClientWithResponses(string(address), client.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
			r.Header.Set("Authorization", "Bearer "+token)
			return nil
		}))
		if err != nil {
			t.Fatal(err)
		}
		return cmd, c
	}
	t.Fatal("the server did not come up")
	return nil, nil
}
