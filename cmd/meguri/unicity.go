package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"meguri/analytics/duck"
	"meguri/analytics/unicity"
	"meguri/ingest/consent"
)

// drawn are the persons who are drawn where nobody asks for others.
var drawn = unicity.Draw{Persons: 1000, Seed: 1}

func (p *program) unicityCommand() *cobra.Command {
	policy, draw := unicity.Default, drawn
	var format, lang string
	var limit bool
	c := &cobra.Command{
		Use: "unicity", Short: "分析用データで一人に絞れる人の割合を調べる / how easily a person can be singled out in analysts' rows",
		Long: `レイクの行（仮名加工情報）について、性別×年齢階級×居住地区の組の大きさ（k-匿名性）と業種の数（l-多様性）、
無作為の訪問1〜5件で一人に絞れる人の割合（一意性）を調べ、基準を満たすまでの一般化の段階を示します。
数値は事務局の中だけで使い、公表しません。--limit を付けると、基準を満たさないとき終了コード 1 で終わります。

Tells how small the classes of persons are in the lake's rows, how many persons are
unique by a few visits, and the first generalisation that keeps to the policy. The
figures are for the office alone. With --limit the exit code is 1 when the rows as
they are do not keep to the policy.

Rows leave (lake push, analyst grant, analyst export) only when they keep to the
policy as it is here by default, or when somebody has accepted other figures for
the purpose: "meguri unicity accept".`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			write, ok := map[string]func(*unicity.Report, io.Writer, string) error{
				"text": (*unicity.Report).Text, "json": (*unicity.Report).JSON, "html": (*unicity.Report).HTML}[format]
			if !ok || lang != "ja" && lang != "en" {
				return usageError{errors.New("unicity: --format is text, json or html, --lang ja or en")}
			}
			return p.with(func(a *app) error {
				if err := a.use(cmd.Context(), a.config.Purpose, "unicity"); err != nil {
					return err
				}
				p.sayIfLarge(a)
				return a.extract(cmd.Context(), func(x *duck.Extract) error {
					r, err := unicity.Build(cmd.Context(), x, policy, draw)
					if err != nil {
						return asPolicy(err)
					}
					if err := write(r, p.stdout, lang); err != nil {
						return err
					}
					if limit && !r.Holds() {
						return errors.New("the rows as they are do not keep to the policy: generalise them, or hand over statistics")
					}
					return nil
				})
			})
		},
	}
	f := c.Flags()
	f.StringVar(&format, "format", "text", "text, json or html")
	f.StringVar(&lang, "lang", "ja", "ja or en")
	f.BoolVar(&limit, "limit", false, "end with 1 when the policy is not kept to")
	policyFlags(f, &policy)
	f.Int64Var(&draw.Persons, "persons", draw.Persons, "how many persons are drawn")
	f.Uint64Var(&draw.Seed, "seed", draw.Seed, "another seed draws others")
	c.AddCommand(p.unicityAccept(), p.unicityTakeBack())
	return forPurpose(c)
}

func policyFlags(f *pflag.FlagSet, policy *unicity.Policy) {
	f.Int64Var(&policy.K, "k", policy.K, "the fewest persons of a class")
	f.Int64Var(&policy.L, "l", policy.L, "the fewest industries that a class visited")
	f.IntVar(&policy.Points, "points", policy.Points, "visits that somebody is taken to know, 1 to 5")
	f.Float64Var(&policy.Share, "max-share", policy.Share, "the share of persons who may be unique by them, 0 to 1")
}

func asPolicy(err error) error {
	if errors.Is(err, unicity.ErrPolicy) {
		return usageError{fmt.Errorf("unicity: %w", err)}
	}
	return fmt.Errorf("unicity: %w", err)
}

// extract runs work on the rows of the present snapshot.
func (a *app) extract(ctx context.Context, work func(*duck.Extract) error) (err error) {
	engine, err := duck.Open(a.lake(), duck.Options{})
	if err != nil {
		return err
	}
	a.onClose(engine.Close)
	x, err := engine.Extract(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, x.Close()) }()
	return work(x)
}

func (p *program) unicityAccept() *cobra.Command {
	accepted := consent.Acceptance{}
	policy := unicity.Default
	c := by(&cobra.Command{
		Use: "accept", Short: "行を渡すときの数値を、名前と理由を付けて受け入れる / accept, by name, the figures with which rows may leave for a purpose",
		Long: `レイクの行を、既定の基準を満たさないまま渡すことを、目的・理由・期限を決めて認めます。今の数値が、認める基準
（--k --l --points --max-share）を満たさなければ記録しません。渡すたびに測り直し、認めた基準を超えたら渡しません。

Lets rows leave for a purpose though they do not keep to the policy: up to the
figures that are named here, which the rows must keep to now and each time they
leave. What was seen, why, who answers for it and until when stand in the log of
consents. A later acceptance stands in place of an earlier one.`,
		Example: `  meguri unicity accept --purpose research --k 2 --l 1 --max-share 0.95 --until 2027-03-31 \
    --reason '委託先の閉じた部屋でだけ使う（審査会 2026-11-20）' --by '推進主体 個人情報保護管理者'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.with(func(a *app) error {
				ctx := cmd.Context()
				desk, err := a.consents(ctx)
				if err != nil {
					return err
				}
				return a.extract(ctx, func(x *duck.Extract) error {
					seen, err := unicity.AsIs(ctx, x, policy, drawn)
					if err != nil {
						return asPolicy(err)
					}
					if !seen.Holds {
						return fmt.Errorf("the rows do not keep to what is to be accepted: %s", policy.Figures(seen))
					}
					snapshot, _ := x.Snapshot()
					accepted.Purpose, accepted.K, accepted.L, accepted.Points, accepted.Share = a.config.Purpose, policy.K, policy.L, policy.Points, policy.Share
					accepted.Seen = consent.Figures{Snapshot: snapshot, Persons: seen.Classes.Persons, BelowK: seen.Classes.BelowK, BelowL: seen.Classes.BelowL,
						Unique: seen.Known.Share, Drawn: seen.Known.Drawn}
					if err := desk.Accept(ctx, accepted); err != nil {
						return err
					}
					numbers.Fprintf(p.stdout, "accepted for %s until %s, snapshot %d: %s\n", accepted.Purpose, accepted.Until, snapshot, policy.Figures(seen))
					return nil
				})
			})
		},
	}, &accepted.By)
	policyFlags(c.Flags(), &policy)
	c.Flags().StringVar(&accepted.Reason, "reason", "", "なぜ認めるか / why")
	c.Flags().StringVar(&accepted.Until, "until", "", "末日 YYYY-MM-DD（一年以内）/ last day, within a year")
	return forPurpose(c)
}

func (p *program) unicityTakeBack() *cobra.Command {
	var who string
	return forPurpose(by(&cobra.Command{
		Use: "take-back", Short: "受け入れを取り消す / take an acceptance back", Args: cobra.NoArgs,
		RunE: p.withConsents(func(ctx context.Context, a *app, desk *consent.Desk, _ []string) error {
			return desk.TakeBack(ctx, a.config.Purpose, who)
		}),
	}, &who))
}

// leave is the door through which rows of the lake leave: for a purpose that may
// be used, and only as easy to single a person out in as the policy allows or as
// somebody has accepted for that purpose. What is let out is entered in the log of
// consents with its figures.
func (a *app) leave(ctx context.Context, purpose, what string) error {
	if _, err := a.purpose(ctx, purpose); err != nil {
		return err
	}
	desk, err := a.consents(ctx)
	if err != nil {
		return err
	}
	policy, note := unicity.Default, ""
	accepted, found, err := desk.Accepted(ctx, purpose)
	if err != nil {
		return err
	}
	if found {
		policy = unicity.Policy{K: accepted.K, L: accepted.L, Points: accepted.Points, Share: accepted.Share}
		note = fmt.Sprintf(", accepted by %s on %s", accepted.By, accepted.At.In(japan).Format(time.DateOnly))
	}
	return a.extract(ctx, func(x *duck.Extract) error {
		rows, err := unicity.AsIs(ctx, x, policy, drawn)
		if err != nil {
			return fmt.Errorf("unicity: %w", err)
		}
		snapshot, _ := x.Snapshot()
		if rows.Classes.Persons == 0 && !found { // what was not measured is not known to hold
			return fmt.Errorf("there are no payments in the lake (snapshot %d), so nothing tells how easily a person can be singled out in its rows: "+
				"run \"meguri pipeline\" first, or have it accepted with \"meguri unicity accept\"", snapshot)
		}
		if rows.Holds {
			return a.use(ctx, purpose, fmt.Sprintf("%s, snapshot %d: %s%s", what, snapshot, policy.Figures(rows), note))
		}
		report, err := unicity.Build(ctx, x, policy, drawn)
		if err != nil {
			return fmt.Errorf("unicity: %w", err)
		}
		return fmt.Errorf("the rows of snapshot %d may not leave for %s%s: %s; %s, or have other figures accepted with \"meguri unicity accept\"",
			snapshot, purpose, note, policy.Figures(rows), report.Remedy())
	})
}
