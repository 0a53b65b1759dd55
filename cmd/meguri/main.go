// Command meguri is the whole platform in one binary: the server, the demo
// city, imports, the pipeline, metrics, reports and keys. Run "meguri help".
//
// Rules of its user interface: what was asked for goes to standard output,
// everything else (progress, notes, errors) to standard error. Messages begin
// in lower case, have no full stop, and say what to do next. The exit code is
// 1 for a failure, 2 for words that the program does not know, and 3 when files
// were taken in and their source's totals are others.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Getenv)
	stop()
	os.Exit(code)
}

// run is the program with everything that it touches.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, getenv func(string) string) int {
	root := newRoot(&program{stdin: stdin, stdout: stdout, stderr: stderr, getenv: getenv})
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintf(stderr, "meguri: %v\n", err)
	var usage usageError
	if errors.As(err, &usage) {
		fmt.Fprintln(stderr, "run \"meguri help\" for what there is")
		return 2
	}
	var differ differError
	if errors.As(err, &differ) {
		return 3
	}
	return 1
}

// usageError is a fault in the words of a call.
type usageError struct{ error }

// program is what every command shares.
type program struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
	config         Config
	flags          flags
}

func newRoot(p *program) *cobra.Command {
	root := &cobra.Command{
		Use:           "meguri",
		Short:         "vouchers, points and wallet money go round in a region, and become evidence",
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) (err error) {
			if p.config, err = p.loadConfig(cmd.Flags()); err != nil {
				return err
			}
			return p.refuseUnsafe(cmd)
		},
	}
	root.SetIn(p.stdin)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	p.flags.register(root.PersistentFlags())
	root.AddCommand(
		p.serveCommand(),
		p.demoCommand(),
		p.importCommand(),
		p.quarantineCommand(),
		p.pipelineCommand(),
		p.lakeCommand(),
		p.metricsCommand(),
		p.reportCommand(),
		p.keysCommand(),
		p.policyCommand(),
		p.ledgerCommand(),
		p.reconcileCommand(),
		p.accessCommand(),
		p.analystCommand(),
		p.migrateCommand(),
		p.gateCommand(),
		p.unicityCommand(),
		p.recipientCommand(),
		p.consentCommand(),
		p.linkCommand(),
		p.rekeyCommand(),
		p.purposeCommand(),
		p.basisCommand(),
		p.noticeCommand(),
		p.provisionCommand(),
		p.rightsCommand(),
		p.retentionCommand(),
		p.receiptsCommand(),
		p.doctorCommand(),
		p.benchCommand(),
		p.versionCommand(),
	)
	asUsage(root)
	return root
}

// asUsage makes errors about arguments usage errors, and a word that is no
// command one of them.
func asUsage(c *cobra.Command) {
	if !c.Runnable() {
		c.Args = cobra.NoArgs
		c.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
	if check := c.Args; check != nil {
		c.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				if !cmd.HasParent() {
					return usageError{err}
				}
				return usageError{fmt.Errorf("%s: %w", strings.TrimPrefix(cmd.CommandPath(), "meguri "), err)}
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		asUsage(sub)
	}
}
