package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the build; a build without it says "devel".
var version = "devel"

func (p *program) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "print the version and what the binary was built with", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			fmt.Fprintf(p.stdout, "meguri %s\n%s %s/%s\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			info, ok := debug.ReadBuildInfo()
			if !ok {
				return nil
			}
			for _, m := range info.Deps {
				switch m.Path {
				case "github.com/duckdb/duckdb-go/v2", "github.com/apache/arrow-go/v18", "github.com/mattn/go-sqlite3", "github.com/jackc/pgx/v5":
					fmt.Fprintf(p.stdout, "%s %s\n", m.Path, m.Version)
				}
			}
			return nil
		},
	}
}
