package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"meguri/ingest/consent"
	"meguri/internal/democity"
	"meguri/ledger/registry"
	"meguri/openapi/wallet/client"
	"meguri/pseudonymize"
)

// demoState is what a demo folder remembers of itself.
type demoState struct {
	City   democity.Config   `json:"city"`
	Done   bool              `json:"done"`
	Shop   string            `json:"shop"`   // whose owner can log in: the busiest
	Logins map[string]string `json:"logins"` // login → password; nobody real logs in with them
}

func (p *program) demoCommand() *cobra.Command {
	city := democity.Default
	var noServe bool
	c := &cobra.Command{
		Use:   "demo",
		Short: "make a demo city by driving the real API, run the pipeline, and serve everything",
		Long: `Makes up a city, lives in it through the wallet API and the ledger, pulls its
payments through the standard payment-data API, pseudonymizes them into the
lake, and serves the pages. A second start uses what is there. Every screen says
that the data are fictitious.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := city.Validate(); err != nil {
				return usageError{err}
			}
			return p.demo(cmd.Context(), city, !noServe)
		},
	}
	c.Flags().IntVar(&city.Residents, "residents", city.Residents, "number of residents")
	c.Flags().IntVar(&city.Shops, "shops", city.Shops, "number of shops")
	c.Flags().IntVar(&city.Weeks, "weeks", city.Weeks, "weeks of the programme")
	c.Flags().Uint64Var(&city.Seed, "seed", city.Seed, "another seed is another city")
	c.Flags().BoolVar(&noServe, "no-serve", false, "make the city and end")
	p.serverFlags(c)
	return c
}

func (p *program) demo(ctx context.Context, city democity.Config, serve bool) (err error) {
	started := time.Now()
	state, err := p.demoState(city)
	if err != nil {
		return err
	}
	p.config.Demo, p.config.City, p.config.Programme = true, "デモ市", "デモ市デジタル商品券"
	p.config.From, p.config.To = city.Days()
	p.config.ConsentText = "wallet/demo/ja"
	p.quiet()
	return p.with(func(a *app) error {
		if !serve {
			p.config.Listen = "127.0.0.1:0"
		}
		s, who, err := p.start(ctx, a)
		if err != nil {
			return err
		}
		if state.Done {
			fmt.Fprintf(p.stderr, "the demo city in %s is there already\n", p.config.Dir)
		} else if err := p.makeCity(ctx, a, who, s.address, state); err != nil {
			return errors.Join(err, s.stop())
		}
		fmt.Fprintf(p.stderr, "ready after %.1f s\n", time.Since(started).Seconds())
		if !serve {
			return s.stop()
		}
		if err := p.announce(s); err != nil {
			return errors.Join(err, s.stop())
		}
		p.printDemo(s.address, state)
		return s.wait(ctx)
	})
}

func (p *program) demoStatePath() string { return filepath.Join(p.config.Dir, "demo.json") }

// demoState reads the state of the folder. A folder with another city, or with
// data that are no demo's, is left alone.
func (p *program) demoState(city democity.Config) (demoState, error) {
	text, err := os.ReadFile(p.demoStatePath())
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Join(p.config.Dir, "ledger.sqlite")); err == nil {
			return demoState{}, fmt.Errorf("%s holds data that are no demo's: give another folder with --dir", p.config.Dir)
		}
		return p.newDemoState(city)
	}
	if err != nil {
		return demoState{}, err
	}
	var state demoState
	if err := json.Unmarshal(text, &state); err != nil {
		return state, fmt.Errorf("%s: %w", p.demoStatePath(), err)
	}
	if state.City != city {
		return state, fmt.Errorf("%s holds another demo city (%+v): give another folder with --dir, or the same figures", p.config.Dir, state.City)
	}
	return state, nil
}

func (p *program) newDemoState(city democity.Config) (demoState, error) {
	state := demoState{City: city, Shop: democity.NewPlan(city).Busiest(), Logins: map[string]string{}}
	for _, login := range []string{"office", "city", "shop"} {
		var b [5]byte
		if _, err := rand.Read(b[:]); err != nil {
			return state, err
		}
		state.Logins[login] = "demo-" + hex.EncodeToString(b[:])
	}
	if err := os.MkdirAll(filepath.Join(p.config.Dir, "keys"), 0o700); err != nil {
		return state, fmt.Errorf("make demo folder: %w", err)
	}
	return state, p.saveDemoState(state)
}

func (p *program) saveDemoState(state demoState) error {
	text, err := json.MarshalIndent(state, "", "  ")
	if err != nil {
		return err
	}
	tmp := p.demoStatePath() + ".tmp"
	if err := os.WriteFile(tmp, text, 0o600); err != nil {
		return fmt.Errorf("write demo state: %w", err)
	}
	return os.Rename(tmp, p.demoStatePath())
}

// makeCity is the whole way of the data, once. Broken off, it goes on where it
// was when it is run again.
func (p *program) makeCity(ctx context.Context, a *app, who *guests, address string, state demoState) error {
	if err := p.writeDemoConfig(); err != nil {
		return err
	}
	keys, err := p.demoKeys()
	if err != nil {
		return err
	}
	if err := p.demoStaff(ctx, who, state); err != nil {
		return err
	}
	if err := p.live(ctx, who, address, state.City); err != nil {
		return err
	}
	importer, err := a.importer(ctx)
	if err != nil {
		return err
	}
	if err := p.pullFrom(ctx, importer, who.pipeline(address)); err != nil {
		return err
	}
	if err := p.demoConsents(ctx, a); err != nil {
		return err
	}
	if err := p.pipeline(ctx, a, importer, keys, pseudonymize.Policies(), false, nil); err != nil {
		return err
	}
	state.Done = true
	return p.saveDemoState(state)
}

// live drives the wallet API with what the city's people do.
func (p *program) live(ctx context.Context, who *guests, address string, city democity.Config) error {
	token := who.invite("demo", "wallet.read", "wallet.write", "ledger.post", "ledger.backdate")
	authorize := func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+token)
		return nil
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 64
	wallet, err := client.NewClientWithResponses(address, client.WithRequestEditorFn(authorize),
		client.WithHTTPClient(&http.Client{Transport: transport, Timeout: time.Minute}))
	if err != nil {
		return err
	}
	plan := democity.NewPlan(city)
	numbers.Fprintf(p.stderr, "a city of %d residents and %d shops, with %d payments in %d weeks\n",
		len(plan.Residents), len(plan.Shops), plan.Payments(), city.Weeks)
	bar := p.progress("live")
	steps := make(chan [2]int64, 256)
	drawn := make(chan struct{})
	go func() {
		defer close(drawn)
		for s := range steps {
			bar.show(s[0], s[1], s[0], "events")
		}
	}()
	err = plan.Drive(ctx, wallet, func(done, of int64) {
		select {
		case steps <- [2]int64{done, of}:
		default: // drawing is slower than living
		}
	})
	close(steps)
	<-drawn
	bar.end()
	return err
}

// demoText is what the demo's residents agreed to.
const demoText = `id: wallet
version: demo
language: ja
title: 地域ウォレットのデータ利活用への同意（架空）
controller: {name: デモ市, address: デモ市本町1-1, representative: 市長 例 示子}
items: [payment, person, shop]
sources: [meguri]
purposes: [%s]
matching: true
pseudonymized: true
statistics: true
data_from: 2000-01-01
ends_on: 2099-12-31
withdrawal: いつでも撤回できます。
outsourcing: 委託しません。
abroad: 外国では取り扱いません。
contact: デモ市
guardian_under: 1
body: |
  架空の市の、架空の同意です。
`

// demoConsents enters what the demo's residents agreed to, unless it is there.
func (p *program) demoConsents(ctx context.Context, a *app) error {
	desk, err := a.consents(ctx)
	if err != nil {
		return err
	}
	text, err := consent.ParseText(fmt.Appendf(nil, demoText, p.config.Purpose))
	if err != nil {
		return err
	}
	const by = "demo"
	for _, enter := range []func() error{
		func() error {
			return desk.AddPurpose(ctx, consent.Purpose{Code: p.config.Purpose, Ja: "地域の消費の統計", En: "statistics of consumption in the region"}, by)
		},
		func() error { return desk.Publish(ctx, p.config.Purpose, "2000-01-01", "デモ（架空）", by) },
		func() error { return desk.AddText(ctx, text, by) },
	} {
		if err := enter(); err != nil && !errors.Is(err, consent.ErrConflict) {
			return err
		}
	}
	return nil
}

// demoKeys makes the demo's keyset, with its passphrase beside it.
func (p *program) demoKeys() (*pseudonymize.Keyset, error) {
	if _, err := os.Stat(p.keysetPath()); err == nil {
		return p.readKeys()
	}
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		return nil, err
	}
	passphrase := hex.EncodeToString(b[:])
	if err := os.WriteFile(p.demoPassphrasePath(), []byte(passphrase), 0o600); err != nil {
		return nil, fmt.Errorf("make demo keys: %w", err)
	}
	if _, err := p.initKeys(); err != nil {
		return nil, err
	}
	return p.readKeys()
}

func (p *program) demoStaff(ctx context.Context, store registry.Store, state demoState) error {
	for _, s := range []registry.Staff{
		{Login: "office", Role: registry.Office},
		{Login: "city", Role: registry.City},
		{Login: "shop", Role: registry.Shopkeeper, Shop: state.Shop},
	} {
		if err := addStaff(ctx, store, s, state.Logins[s.Login]); err != nil {
			return err
		}
	}
	return nil
}

// writeDemoConfig makes other commands on the folder know that it is a demo.
func (p *program) writeDemoConfig() error {
	settings := map[string]any{
		"demo": true, "city": p.config.City, "programme": p.config.Programme, "from": p.config.From, "to": p.config.To,
		"consent_text": p.config.ConsentText,
	}
	if p.config.Database != "" {
		settings["database"] = p.config.Database
	}
	text, err := yaml.Marshal(settings)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(p.config.Dir, "meguri.yaml"), text, 0o600)
}

func (p *program) printDemo(address string, state demoState) {
	fmt.Fprintf(p.stdout, `
デモデータ（架空） / demo data (fictitious)

  EBPM page        %[1]s/ebpm
  shop report      %[1]s/shops/%[2]s/report
  on paper         %[1]s/shops/%[2]s/report.pdf
  API contracts    %[1]s/docs/
  health, metrics  %[1]s/readyz  %[1]s/metrics

  login at %[1]s/login
    office  %[3]s
    city    %[4]s
    shop    %[5]s

Ctrl-C ends it; "make run" again uses the same city.
`, address, state.Shop, state.Logins["office"], state.Logins["city"], state.Logins["shop"])
}
