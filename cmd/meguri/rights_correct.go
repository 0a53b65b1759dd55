package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"meguri/ingest"
	"meguri/ingest/consent"
	"meguri/ingest/consent/rights"
	"meguri/ledger/registry"
)

func (p *program) rightsCorrect() *cobra.Command {
	var who, reason string
	var set, link, unlink []string
	c := by(&cobra.Command{
		Use: "correct REQUEST", Short: "訂正の請求を実行する / carry out a request for correction", Args: cobra.ExactArgs(1),
		Long: `本人の属性（性別 sex・生年月日 born_on・地区 area。空は不明）と、ほかの出どころの番号との結びつけを
訂正します。だれが、いつ、なぜ、何を何に直したかは、個人データの側だけに残ります。結びついたほかの番号で
違う値が知られていれば、それも直します。次の pipeline がレイクを作り直し、住民の表と決済の属性を改めます。
データ元の古いファイルを取り込み直しても、訂正は消えません。改めるには、もう一度訂正します。

` + rights.PaymentsNote + `

Corrects attributes of a person and links to their numbers with other sources. The
next run of the pipeline rewrites the lake, and no old file of a source undoes it.
Payments are corrected by their provider.`,
		RunE: p.withConsents(func(ctx context.Context, a *app, desk *consent.Desk, args []string) error {
			requests := a.rights(desk)
			r, err := requests.Request(ctx, args[0])
			switch {
			case err != nil:
				return err
			case r.Kind != rights.Correction || !r.Open():
				return fmt.Errorf("request %s is no open request for correction", r.ID)
			case r.Identity == "":
				return fmt.Errorf("request %s: %w", r.ID, rights.ErrIdentity)
			}
			c := ingest.Correcting{Person: ingest.PersonID(r.Person), Set: map[string]string{},
				Request: r.ID, Reason: reason, By: who, At: time.Now()}
			for _, text := range set {
				field, value, ok := strings.Cut(text, "=")
				if _, twice := c.Set[field]; !ok || twice || !slices.Contains(ingest.Correctable(), field) {
					return usageError{fmt.Errorf("rights correct: --set is written FIELD=VALUE, once for each of %s",
						strings.Join(ingest.Correctable(), ", "))}
				}
				c.Set[field] = value
			}
			if c.Link, err = numbersOf(link); err == nil {
				c.Unlink, err = numbersOf(unlink)
			}
			if err != nil {
				return err
			}
			importer, err := a.importer(ctx)
			if err != nil {
				return err
			}
			done, err := importer.Correct(ctx, c)
			if err != nil && !errors.Is(err, ingest.ErrRight) { // which a run that broke off may have done
				return err
			}
			ours, rerr := a.correctResident(ctx, c)
			if rerr != nil {
				return rerr
			}
			if err != nil && !ours && r.Corrected != "" {
				return err
			}
			if err := requests.HasCorrected(ctx, r.ID, fieldsOf(c), len(done), who); err != nil {
				return err
			}
			numbers.Fprintf(p.stdout, "%s: %d corrections; \"meguri pipeline\" takes them into the lake\n", r.ID, len(done))
			fmt.Fprintln(p.stdout, rights.PaymentsNote)
			return nil
		}),
	}, &who)
	c.Flags().StringArrayVar(&set, "set", nil, "正しい属性 項目=値 / an attribute as it should be, FIELD=VALUE")
	c.Flags().StringArrayVar(&link, "link", nil, "本人である番号 出どころ=番号 / a number that is the person's, SOURCE=ID")
	c.Flags().StringArrayVar(&unlink, "unlink", nil, "本人でない番号 出どころ=番号 / a number that is not, SOURCE=ID")
	c.Flags().StringVar(&reason, "reason", "", "訂正の理由と根拠 / why, and on what evidence")
	return c
}

func numbersOf(texts []string) (list []ingest.PersonID, err error) {
	for _, text := range texts {
		source, id, ok := strings.Cut(text, "=")
		if !ok || source == "" || id == "" {
			return nil, usageError{errors.New("rights correct: --link and --unlink are written SOURCE=ID")}
		}
		list = append(list, ingest.PersonID{Source: source, ID: id})
	}
	return list, nil
}

// fieldsOf names what is corrected, without a value.
func fieldsOf(c ingest.Correcting) string {
	var names []string
	for _, field := range ingest.Correctable() {
		if _, ok := c.Set[field]; ok {
			names = append(names, field)
		}
	}
	if len(c.Link)+len(c.Unlink) > 0 {
		names = append(names, ingest.LinkField)
	}
	return strings.Join(names, " ")
}

// correctResident corrects our own registry, whose attributes the pipeline pulls,
// and tells whether there was something to correct.
func (a *app) correctResident(ctx context.Context, c ingest.Correcting) (bool, error) {
	if c.Person.Source != a.config.Provider || len(c.Set) == 0 {
		return false, nil
	}
	store, err := a.ledger(ctx)
	if err != nil {
		return false, err
	}
	r, err := store.Resident(ctx, c.Person.ID)
	if errors.Is(err, registry.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	right := r
	for field, value := range c.Set {
		switch field {
		case "sex":
			right.Sex = registry.Sex(orElse(value, "unknown"))
		case "born_on":
			right.BornOn = value
		case "area":
			right.Area = value
		}
	}
	if right == r {
		return false, nil
	}
	return true, store.CorrectResident(ctx, right)
}
