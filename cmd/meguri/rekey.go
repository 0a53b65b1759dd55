package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"meguri/pseudonymize"
)

func (p *program) rekeyCommand() *cobra.Command {
	var only bool
	c := &cobra.Command{
		Use: "rekey", Short: "新しい鍵で仮名をすべて作り直す / new pseudonyms for everybody, as after a leak",
		Long: `対応表や鍵が漏えいしたときは、仮IDを振り直し、仮名加工情報を作り直します（ガイドライン2-2-2-2）。
新しい期の鍵を作り、レイクをセグメントから作り直し、前の仮名の入った版を消します。途中で止まったときは、
--go-on で続きから行います。前の鍵は、そのあと "meguri keys destroy --epoch" で廃棄してください。

Makes a new key, builds the lake anew from the segments with it, and removes the
snapshots with the pseudonyms of before: none of them can be joined with a new one.
When it broke off, --go-on goes on without another key. Destroy the key of before
afterwards with "meguri keys destroy --epoch".`,
		Args: cobra.NoArgs,
	}
	c.Flags().BoolVar(&only, "go-on", false, "鍵は作られている。レイクを作り直す / the key is there: build the lake")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx := cmd.Context()
		p.quiet()
		return p.with(func(a *app) error {
			before, err := a.lake().Manifest()
			if err != nil {
				return err
			}
			snapshots, err := a.lake().Snapshots()
			if err != nil {
				return err
			}
			if !only {
				k, err := p.box().Rotate(p.scope())
				if err != nil {
					return err
				}
				fmt.Fprintf(p.stdout, "rotated %s (epoch %d)\n", k.Scope, k.Epoch)
			}
			keys, err := p.readKeys()
			if err != nil {
				return err
			}
			if before.Epoch == keys.Epoch() {
				return errors.New("the lake has the pseudonyms of the present key already: there is nothing to go on with")
			}
			importer, err := a.importer(ctx)
			if err != nil {
				return err
			}
			if err := p.pipeline(ctx, a, importer, keys, pseudonymize.Policies(), true, nil); err != nil {
				return fmt.Errorf("%w\nthe new key is there: run \"meguri rekey --go-on\" when this is mended", err)
			}
			if _, err := a.lake().Expire(time.Now()); err != nil { // what the commit has not removed yet
				return err
			}
			gone := map[string]bool{}
			for _, m := range snapshots { // they were all before, and none of their files is in the new one
				for _, f := range m.Files {
					gone[f.Path] = true
				}
			}
			fmt.Fprintf(p.stdout, "%d files with pseudonyms of epoch %d removed; destroy its key with: meguri keys destroy --project %s --epoch %d\n",
				len(gone), before.Epoch, p.config.Project, before.Epoch)
			return nil
		})
	}
	return c
}
