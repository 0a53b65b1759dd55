package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"meguri/analytics/duck"
	"meguri/analytics/unicity"
)

func (p *program) unicityCommand() *cobra.Command {
	policy, draw := unicity.Default, unicity.Draw{Persons: 1000, Seed: 1}
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
they are do not keep to the policy.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			write, ok := map[string]func(*unicity.Report, io.Writer, string) error{
				"text": (*unicity.Report).Text, "json": (*unicity.Report).JSON, "html": (*unicity.Report).HTML}[format]
			if !ok || lang != "ja" && lang != "en" {
				return usageError{errors.New("unicity: --format is text, json or html, --lang ja or en")}
			}
			return p.with(func(a *app) (err error) {
				p.sayIfLarge(a)
				engine, err := duck.Open(a.lake(), duck.Options{})
				if err != nil {
					return err
				}
				a.onClose(engine.Close)
				extract, err := engine.Extract(cmd.Context())
				if err != nil {
					return err
				}
				defer func() { err = errors.Join(err, extract.Close()) }()
				r, err := unicity.Build(cmd.Context(), extract, policy, draw)
				if errors.Is(err, unicity.ErrPolicy) {
					return usageError{fmt.Errorf("unicity: %w", err)}
				}
				if err != nil {
					return fmt.Errorf("unicity: %w", err)
				}
				if err := write(r, p.stdout, lang); err != nil {
					return err
				}
				if limit && !r.Holds() {
					return errors.New("the rows as they are do not keep to the policy: generalise them, or hand over statistics")
				}
				return nil
			})
		},
	}
	f := c.Flags()
	f.StringVar(&format, "format", "text", "text, json or html")
	f.StringVar(&lang, "lang", "ja", "ja or en")
	f.BoolVar(&limit, "limit", false, "end with 1 when the policy is not kept to")
	f.Int64Var(&policy.K, "k", policy.K, "the fewest persons of a class")
	f.Int64Var(&policy.L, "l", policy.L, "the fewest industries that a class visited")
	f.IntVar(&policy.Points, "points", policy.Points, "visits that somebody is taken to know, 1 to 5")
	f.Float64Var(&policy.Share, "max-share", policy.Share, "the share of persons who may be unique by them, 0 to 1")
	f.Int64Var(&draw.Persons, "persons", draw.Persons, "how many persons are drawn")
	f.Uint64Var(&draw.Seed, "seed", draw.Seed, "another seed draws others")
	return c
}
