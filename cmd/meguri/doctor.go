package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"meguri/ingest/consent"
	"meguri/ingest/consent/rights"
	"meguri/ingest/consent/safety"
)

// handlers are the commands that handle raw personal data by the stream.
var handlers = []string{"meguri serve", "meguri pipeline", "meguri import", "meguri demo", "meguri lake rebuild", "meguri rekey"}

// refuseUnsafe keeps a command from starting when raw personal data would sit
// where the measures are not for them.
func (p *program) refuseUnsafe(cmd *cobra.Command) error {
	if !slices.Contains(handlers, cmd.CommandPath()) {
		return nil
	}
	return safety.Refuse(p.site())
}

func (p *program) site() safety.Site {
	return safety.Site{Dir: p.config.Dir, Listen: p.config.Listen, Database: p.config.Database, PassphraseFile: p.config.PassphraseFile,
		Profiles: p.config.Safety, Stated: p.config.Stated, Now: time.Now()}
}

func (p *program) doctorCommand() *cobra.Command {
	var format, lang string
	c := &cobra.Command{
		Use: "doctor", Short: "安全管理措置を点検する / go through the law's safety measures",
		Long: `個人情報保護法の安全管理措置（基本事例・強化事例）を一つずつ点検します。プログラムから見えるものは
その場で確かめ、見えないもの（教育、施錠、ディスクの暗号化など）は設定の stated: に、だれがいつ
実施したかを書きます。1年を過ぎた記載は、見直しが要ります。

  stated:
    disk-encryption: {by: 情報政策課 田中, on: 2026-10-01, note: LUKS}

終了コードは、必須のものに不足があれば 1 です。

Goes through the safety measures; the exit code is 1 when a must is unmet.`,
		Args: cobra.NoArgs,
		RunE: p.withConsents(func(ctx context.Context, a *app, desk *consent.Desk, _ []string) error {
			write, ok := map[string]func(safety.Report, io.Writer, string) error{"text": safety.Report.Text, "json": safety.Report.JSON, "markdown": safety.Report.Markdown}[format]
			if !ok || lang != "ja" && lang != "en" {
				return usageError{errors.New("doctor: --format is text, json or markdown, --lang ja or en")}
			}
			site := p.site()
			site.Ask = a.look(desk)
			r, err := safety.Examine(ctx, site, lang)
			if err != nil {
				return err
			}
			if err := write(r, p.stdout, lang); err != nil {
				return err
			}
			if r.Unmet > 0 {
				return fmt.Errorf("%d measures that the law or the guideline asks for are unmet: see docs/safety/", r.Unmet)
			}
			return nil
		}),
	}
	c.Flags().StringVar(&format, "format", "text", "text, json, markdown")
	c.Flags().StringVar(&lang, "lang", "ja", "ja, en")
	return c
}

// look has the live checks that need the stores.
func (a *app) look(desk *consent.Desk) map[string]func(context.Context) (safety.Finding, error) {
	yes := func(met bool, ja, en string) (safety.Finding, error) {
		return safety.Finding{Met: met, Ja: ja, En: en}, nil
	}
	return map[string]func(context.Context) (safety.Finding, error){
		"retention": func(context.Context) (safety.Finding, error) {
			file := a.config.Dir + "/retention.yaml"
			if _, err := os.Stat(file); err != nil {
				return yes(false, "retention.yaml がありません（meguri retention example）", "there is no retention.yaml (meguri retention example)")
			}
			r, err := a.retention(file)
			if err != nil {
				return yes(false, "retention.yaml が正しくありません："+err.Error(), err.Error())
			}
			return yes(true, fmt.Sprintf("%s版、%d種類", r.Version, len(r.Rules)), fmt.Sprintf("version %s, %d rules", r.Version, len(r.Rules)))
		},
		"log": func(context.Context) (safety.Finding, error) {
			level := a.config.LogLevel
			return yes(level == "info" || level == "debug", "log_level: "+level+"（要求ごとの行は info で残ります）", "log_level: "+level+" (lines for each request need info)")
		},
		"deletion-records": func(ctx context.Context) (safety.Finding, error) {
			key, err := a.receiptKey()
			if err != nil {
				return yes(false, err.Error(), err.Error())
			}
			if key == nil {
				return yes(false, "削除証明の鍵がありません（meguri receipts keys）", "there is no key of receipts (meguri receipts keys)")
			}
			open, err := (&rights.Shredder{Consents: desk}).Unfinished(ctx)
			if err != nil {
				return safety.Finding{}, err
			}
			return yes(len(open) == 0, fmt.Sprintf("鍵あり、途中の削除 %d件", len(open)), fmt.Sprintf("there is a key; %d deletions are unfinished", len(open)))
		},
		"identification": func(ctx context.Context) (safety.Finding, error) {
			store, err := a.ledger(ctx)
			if err != nil {
				return safety.Finding{}, err
			}
			staff, err := store.AllStaff(ctx)
			if err != nil {
				return safety.Finding{}, err
			}
			clients, err := store.AllClients(ctx)
			if err != nil {
				return safety.Finding{}, err
			}
			for _, c := range clients { // a third party's program must not reach persons
				if slices.Contains(c.Scopes, "statistics.read") && slices.ContainsFunc(c.Scopes, func(s string) bool { return !strings.HasPrefix(s, "statistics.") }) {
					return yes(false, "統計の提供先 "+c.ID+" に個人データの権限があります", "client "+c.ID+" of statistics has rights on personal data")
				}
			}
			return yes(true, fmt.Sprintf("職員%d人、プログラム%d件だけ", len(staff), len(clients)), fmt.Sprintf("%d staff and %d programs alone", len(staff), len(clients)))
		},
		"purposes": func(ctx context.Context) (safety.Finding, error) {
			r, err := desk.Register(ctx)
			if err != nil {
				return safety.Finding{}, err
			}
			n := 0
			for _, p := range r.Purposes {
				if _, err := r.InForce(p.Code, consent.Day(time.Now())); err == nil {
					n++
				}
			}
			return yes(n > 0, fmt.Sprintf("公表済み %d件", n), fmt.Sprintf("%d published", n))
		},
		"texts": func(ctx context.Context) (safety.Finding, error) {
			r, err := desk.Register(ctx)
			if err != nil {
				return safety.Finding{}, err
			}
			return yes(len(r.Texts) > 0, fmt.Sprintf("%d版", len(r.Texts)), fmt.Sprintf("%d versions", len(r.Texts)))
		},
		"records": func(ctx context.Context) (safety.Finding, error) {
			n, err := consent.Verify(ctx, desk.Store)
			if errors.Is(err, consent.ErrChain) {
				return yes(false, "書き換えられています："+err.Error(), err.Error())
			}
			if err != nil {
				return safety.Finding{}, err
			}
			return yes(true, fmt.Sprintf("%d件を検算", n), fmt.Sprintf("%d entries verified", n))
		},
		"requests": func(ctx context.Context) (safety.Finding, error) {
			all, err := a.rights(desk).Requests(ctx)
			if err != nil {
				return safety.Finding{}, err
			}
			late := 0
			for _, r := range all {
				if r.Overdue(time.Now()) {
					late++
				}
			}
			return yes(late == 0, fmt.Sprintf("期限超過 %d件（全%d件）", late, len(all)), fmt.Sprintf("%d of %d overdue", late, len(all)))
		},
		"keyset": func(context.Context) (safety.Finding, error) {
			_, err := os.Stat(a.config.Dir + "/keys/keyset.json")
			return yes(err == nil, map[bool]string{true: "あり（合言葉で暗号化）", false: "ありません（meguri keys init）"}[err == nil],
				map[bool]string{true: "there, sealed by the passphrase", false: "not there (meguri keys init)"}[err == nil])
		},
		"durable": func(ctx context.Context) (safety.Finding, error) {
			store, err := a.ledger(ctx)
			if err != nil {
				return safety.Finding{}, err
			}
			if err := store.Durable(ctx); err != nil {
				return yes(false, err.Error(), err.Error())
			}
			return yes(a.config.Profile == production, "profile: "+a.config.Profile, "profile: "+a.config.Profile)
		},
	}
}
