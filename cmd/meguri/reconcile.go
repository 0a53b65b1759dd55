package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"meguri/api"
	"meguri/ingest"
	"meguri/ledger"
	"meguri/ledger/registry"
	"meguri/ledger/sqlstore"
)

func (p *program) reconcileCommand() *cobra.Command {
	var from, to, source, format, lang string
	c := &cobra.Command{
		Use: "reconcile", Short: "取込・個人データ・レイク・元帳の額を円まで突き合わせる / compare all stations to the yen",
		Long: `決済を、データ元・日・種別ごとに、元帳（自分のもの）→ 取り込んだもの → 個人データ → レイク（仮名加工情報）と
突き合わせます。違いには理由（重複、隔離、保留、テスト利用者、未実行など）を示し、理由の分からないものが
あれば終了コード 1 で終わります。店舗ごとの精算（元帳の締めた期間、取り込んだ決済事業者の精算書）も、
取り込んだ決済の合計と突き合わせます。数値は事務局の中だけで使い、公表しません。

Compares payments by source, day and kind: our own ledger, what imports counted, the
segments of the personal plane, and the lake; and what shops are paid (periods that our
ledger has closed, and the statements of other providers that were imported) with the
payments that were taken in. Each difference is named with its reason;
the exit code is 1 when one has none. The figures are for the office alone.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			write, ok := map[string]func(reconciliation, io.Writer, string) error{
				"text": reconciliation.text, "csv": reconciliation.csv, "json": reconciliation.json}[format]
			if !ok || lang != "ja" && lang != "en" {
				return usageError{errors.New("reconcile: --format is text, csv or json, --lang ja or en")}
			}
			for flag, day := range map[string]string{"from": from, "to": to} {
				if _, err := time.Parse(time.DateOnly, day); day != "" && err != nil {
					return usageError{fmt.Errorf("reconcile: --%s is a day like 2026-11-20", flag)}
				}
			}
			return p.with(func(a *app) error {
				r, err := a.reconcile(cmd.Context(), func(s, day string) bool {
					return (source == "" || s == source) && (day == "" || day >= from && (to == "" || day <= to))
				})
				if err != nil {
					return err
				}
				if err := write(r, p.stdout, lang); err != nil {
					return err
				}
				if r.Unexplained > 0 {
					return fmt.Errorf("reconcile: %d differences have no explanation", r.Unexplained)
				}
				return nil
			})
		},
	}
	c.Flags().StringVar(&from, "from", "", "first day, YYYY-MM-DD (default: the beginning)")
	c.Flags().StringVar(&to, "to", "", "last day, YYYY-MM-DD (default: the end)")
	c.Flags().StringVar(&source, "source", "", "only this source")
	c.Flags().StringVar(&format, "format", "text", "text, csv or json")
	c.Flags().StringVar(&lang, "lang", "ja", "ja or en")
	return c
}

// reconciliation is what was compared.
type reconciliation struct {
	Lines       []ingest.Line    `json:"lines"`
	Settled     []ingest.Settled `json:"settlements"`
	Claims      []ingest.Claim   `json:"claims"` // of sources, that are not so
	Faults      []string         `json:"faults"` // files that could not be read, or were changed
	Unexplained int              `json:"unexplained"`
}

func (a *app) reconcile(ctx context.Context, wanted func(source, day string) bool) (r reconciliation, err error) {
	importer, err := a.importer(ctx)
	if err != nil {
		return r, err
	}
	store, err := a.ledger(ctx)
	if err != nil {
		return r, err
	}
	f, claims, faults, err := importer.Figures(ctx, a.lake())
	if err != nil {
		return r, err
	}
	cursor, err := importer.Cursor(ctx, a.config.Provider)
	if err != nil {
		return r, err
	}
	if f.Own = importer.ProviderOf(a.config.Provider); wanted(f.Own, "") {
		if err := addBooks(ctx, store, cursor, &f); err != nil {
			return r, fmt.Errorf("reconcile with the ledger: %w", err)
		}
	}
	r.Faults = faults
	r.Unexplained = len(faults) // the files are nobody's day
	for _, l := range ingest.Compare(f) {
		if wanted(l.Source, l.Day) {
			r.Lines = append(r.Lines, l)
			r.Unexplained += len(l.Open())
		}
	}
	for _, settled := range ingest.CompareSettlements(f.Statements, f.Takings, f.Whys) {
		if wanted(settled.Source, settled.To) {
			r.Settled = append(r.Settled, settled)
			if settled.Differs() {
				r.Unexplained++
			}
		}
	}
	for _, c := range claims {
		if wanted(c.Source, c.Day) {
			r.Claims = append(r.Claims, c)
			if !c.Explained {
				r.Unexplained++
			}
		}
	}
	return r, nil
}

// addBooks sums up what the ledger has to hand over, part by part, as the
// payment-data API tells of it.
func addBooks(ctx context.Context, store *sqlstore.Store, cursor string, f *ingest.Figures) error {
	read, err := api.PlaceOf(cursor)
	if err != nil {
		return fmt.Errorf("cursor of %s: %w", f.Own, err)
	}
	f.Ledger, f.Unconsented, f.NotPulled = ingest.Sums{}, ingest.Sums{}, ingest.Sums{}
	closed, err := closedPeriods(ctx, store, f)
	if err != nil {
		return err
	}
	consented := map[string]bool{}
	const page = 5000
	for after := ledger.Seq(0); ; {
		list, err := store.Changes(ctx, after, page)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			closed.settle(f)
			return nil
		}
		for i := range list {
			tx := &list[i]
			after = tx.Last()
			closed.close(tx)
			kind := ingest.Pay
			if tx.Kind == ledger.Cancel {
				kind = ingest.Cancel
			} else if !tx.IsPayment() {
				closed.take(tx, ingest.ByOffice)
				continue
			}
			consent, known := consented[tx.Resident]
			if !known {
				resident, err := store.Resident(ctx, tx.Resident)
				if err != nil && !errors.Is(err, registry.ErrNotFound) {
					return err
				}
				consent = resident.ConsentID != ""
				consented[tx.Resident] = consent
			}
			cell := ingest.Cell{Source: f.Own, Day: tx.BusinessOn, Kind: string(kind)}
			sum := ingest.Sum{Yen: int64(tx.Total())}
			var parts []ledger.ProgrammeID
			for _, e := range tx.Entries {
				if e.Amount != 0 && !slices.Contains(parts, e.Programme) {
					parts = append(parts, e.Programme)
				}
			}
			sum.Rows = int64(len(parts))
			f.Ledger.Add(cell, sum)
			switch {
			case !consent:
				f.Unconsented.Add(cell, sum)
				closed.take(tx, ingest.NotHandedOver)
			case tx.Last() > read:
				f.NotPulled.Add(cell, sum)
				closed.take(tx, ingest.NotPulled)
			default:
				closed.take(tx, ingest.OtherPeriod)
			}
		}
	}
}

// reconcileWords are what the office reads, in Japanese and in English.
var reconcileWords = map[string][2]string{
	"title":    {"決済の突き合わせ（事務局の中だけで使い、公表しないでください）", "Reconciliation of payments (for the office alone: do not publish)"},
	"line":     {"%s %s %s：取込 %d件 %d円、個人データ %d件 %d円、レイク %d件 %d円", "%s %s %s: read %d rows %d yen, segments %d rows %d yen, lake %d rows %d yen"},
	"ledger":   {"、元帳 %d件 %d円", ", ledger %d rows %d yen"},
	"part":     {"  %s：%s %d件 %d円", "  %s: %s %d rows %d yen"},
	"claim":    {"%s %s：データ元の合計 %s は %d件、読めたのは %d件（隔離 %d件）：%s", "%s %s: the source says %[4]d rows of %[3]s, read were %[5]d (%[6]d in quarantine): %[7]s"},
	"all":      {"ファイル全体", "the whole file"},
	"fault":    {"ファイルの異常：%s", "fault of a file: %s"},
	"right":    {"すべて説明がつきました。", "Everything is explained."},
	"open":     {"説明のつかない違い：%d件", "Differences without an explanation: %d"},
	"accepted": {"隔離で説明がつく", "explained by the quarantine"},

	"settled": {"精算 %s %s〜%s：取扱高 %d円、手数料 %d円、支払額 %d円、取り込んだ決済 %d円、差 %d円",
		"settlement of %s, %s to %s: amount %d yen, fee %d yen, net %d yen, payments taken in %d yen, difference %d yen"},
	"why":         {"  %s %d円", "  %s %d yen"},
	"twice":       {"  同じ店舗のほかの精算と日が重なる", "  another settlement of the shop has some of its days as well"},
	"settlements": {"精算 %d件、説明のつかないもの %d件", "settlements: %d, of which without an explanation: %d"},

	string(ingest.Handover): {"元帳→個人データ", "ledger → segments"},
	string(ingest.Intake):   {"取込→個人データ", "read → segments"},
	string(ingest.IntoLake): {"個人データ→レイク", "segments → lake"},

	string(ingest.NotHandedOver):  {"同意がなく渡さない", "not handed over for want of consent"},
	string(ingest.NotPulled):      {"未取得（pipeline を実行）", "not pulled yet (run pipeline)"},
	string(ingest.Repeated):       {"重複（前に取り込み済み）", "repeated (taken in before)"},
	string(ingest.Quarantined):    {"隔離", "in quarantine"},
	string(ingest.RepeatedOrBad):  {"重複または隔離", "repeated, or in quarantine"},
	string(ingest.NoControlTotal): {"控えの合計なし", "no control total was kept"},
	string(ingest.NotRun):         {"未実行（pipeline を実行）", "not in the lake yet (run pipeline)"},
	string(ingest.TestUser):       {"テスト利用者", "test users"},
	string(ingest.HeldRow):        {"保留（結びつけ・根拠待ち）", "held for a link or a legal basis"},
	string(ingest.OtherPeriod):    {"本来の期間が締め済みのため別の期間に入った", "came into another period, since its own was closed"},
	string(ingest.ByOffice):       {"事務局の調整", "adjusted by the office"},
	string(ingest.Unexplained):    {"説明なし", "UNEXPLAINED"},
}

func reconcileWord(lang, key string, args ...any) string {
	w, text := reconcileWords[key], ""
	if text = w[0]; lang == "en" {
		text = w[1]
	}
	if len(args) == 0 {
		return text
	}
	return numbers.Sprintf(text, args...)
}

func (r reconciliation) text(w io.Writer, lang string) error {
	say := func(key string, args ...any) string { return reconcileWord(lang, key, args...) }
	out := []string{say("title")}
	for _, l := range r.Lines {
		line := say("line", l.Source, l.Day, l.Kind, l.Read.Rows, l.Read.Yen, l.Segments.Rows, l.Segments.Yen, l.Lake.Rows, l.Lake.Yen)
		if l.Ledger != nil {
			line += say("ledger", l.Ledger.Rows, l.Ledger.Yen)
		}
		out = append(out, line)
		for _, part := range l.Parts {
			out = append(out, say("part", say(string(part.Stretch)), say(string(part.Reason)), part.Rows, part.Yen))
		}
	}
	out = append(out, r.settled(lang)...)
	for _, c := range r.Claims {
		verdict := say(string(ingest.Unexplained))
		if c.Explained {
			verdict = say("accepted")
		}
		out = append(out, say("claim", c.Source, c.File, orElse(c.Day, say("all")), c.RowsTold, c.RowsRead, c.Bad, verdict))
	}
	for _, f := range r.Faults {
		out = append(out, say("fault", f))
	}
	if out = append(out, say("right")); r.Unexplained > 0 {
		out[len(out)-1] = say("open", r.Unexplained)
	}
	for _, line := range out {
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

func (r reconciliation) json(w io.Writer, _ string) error { return printJSON(w, r) }

// csv has a row for each station of a line and of a settlement, and one for each
// part. The day of a settlement is its last.
func (r reconciliation) csv(w io.Writer, _ string) error {
	out := csv.NewWriter(w)
	_ = out.Write([]string{"source", "day", "kind", "station", "reason", "rows", "yen", "shop", "service", "from"})
	for _, l := range r.Lines {
		row := func(station, reason string, s ingest.Sum) {
			_ = out.Write([]string{l.Source, l.Day, l.Kind, station, reason, fmt.Sprint(s.Rows), fmt.Sprint(s.Yen), "", "", ""})
		}
		if l.Ledger != nil {
			row("ledger", "", *l.Ledger)
		}
		row("read", "", l.Read)
		row("segments", "", l.Segments)
		row("lake", "", l.Lake)
		for _, p := range l.Parts {
			row(string(p.Stretch), string(p.Reason), p.Sum)
		}
	}
	for _, s := range r.Settled {
		row := func(station, reason string, yen int64) {
			_ = out.Write([]string{s.Source, s.To, "settlement", station, reason, "", fmt.Sprint(yen), s.ShopID, s.ServiceID, s.From})
		}
		row("settled", "amount", s.AmountYen)
		row("settled", "fee", s.FeeYen)
		row("settled", "net", s.NetYen)
		row("segments", "", s.TakenYen)
		for _, w := range s.Whys {
			row("settled_segments", string(w.Reason), w.Yen)
		}
		if s.Differs() {
			row("settled_segments", string(ingest.Unexplained), s.OpenYen)
		}
	}
	out.Flush()
	return out.Error() // also of every Write
}
