package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"meguri/api"
	"meguri/ledger/registry"
	"meguri/ledger/sqlstore"
)

func (p *program) accessCommand() *cobra.Command {
	access := &cobra.Command{Use: "access", Short: "who may log in to pages, and which programs may call the APIs"}
	with := func(run func(context.Context, *sqlstore.Store, []string) error) func(*cobra.Command, []string) error {
		return func(cmd *cobra.Command, args []string) error {
			return p.with(func(a *app) error {
				store, err := a.ledger(cmd.Context())
				if err != nil {
					return err
				}
				return run(cmd.Context(), store, args)
			})
		}
	}

	addClient := &cobra.Command{
		Use: "add-client ID SCOPE...", Short: "make a bearer token for a program; it is shown once",
		Long: "Makes a bearer token for a program, or a new one that takes the place of its old one.\nScopes: " + strings.Join(api.Scopes(), ", "),
		Args: cobra.MinimumNArgs(2),
		RunE: with(func(ctx context.Context, store *sqlstore.Store, args []string) error {
			for _, scope := range args[1:] {
				if !slices.Contains(api.Scopes(), scope) {
					return usageError{fmt.Errorf("there is no scope %q; there are %s", scope, strings.Join(api.Scopes(), ", "))}
				}
			}
			token := api.NewToken()
			if err := store.PutClient(ctx, registry.Client{ID: args[0], TokenDigest: api.TokenDigest(token), Scopes: args[1:]}); err != nil {
				return fmt.Errorf("add client: %w", err)
			}
			fmt.Fprintln(p.stdout, token)
			return nil
		}),
	}

	var shop string
	addStaff := &cobra.Command{
		Use: "add-staff LOGIN ROLE", Short: "let somebody log in: role office, city or shop",
		Long: "Lets somebody log in, or changes the role and password of a login that exists. The\npassword is asked for, or comes from MEGURI_PASSWORD.",
		Args: cobra.ExactArgs(2),
		RunE: with(func(ctx context.Context, store *sqlstore.Store, args []string) error {
			role := registry.Role(args[1])
			if role != registry.Office && role != registry.City && role != registry.Shopkeeper {
				return usageError{fmt.Errorf("there is no role %q; there are office, city, shop", args[1])}
			}
			if (role == registry.Shopkeeper) != (shop != "") {
				return usageError{errors.New("--shop goes with the role shop, and the role shop needs it")}
			}
			password, err := p.newPassword()
			if err != nil {
				return err
			}
			return addStaff(ctx, store, registry.Staff{Login: args[0], Role: role, Shop: shop}, password)
		}),
	}
	addStaff.Flags().StringVar(&shop, "shop", "", "the shop whose report a shop login may see")

	list := &cobra.Command{
		Use: "list", Short: "list staff and programs", Args: cobra.NoArgs,
		RunE: with(func(ctx context.Context, store *sqlstore.Store, _ []string) error {
			staff, err := store.AllStaff(ctx)
			if err != nil {
				return err
			}
			for _, s := range staff {
				fmt.Fprintf(p.stdout, "staff\t%s\t%s\t%s\n", s.Login, s.Role, s.Shop)
			}
			clients, err := store.AllClients(ctx)
			if err != nil {
				return err
			}
			for _, c := range clients {
				fmt.Fprintf(p.stdout, "client\t%s\t%s\n", c.ID, strings.Join(c.Scopes, " "))
			}
			return nil
		}),
	}
	revoke := &cobra.Command{
		Use: "revoke staff|client NAME", Short: "take access away", Args: cobra.ExactArgs(2),
		RunE: with(func(ctx context.Context, store *sqlstore.Store, args []string) error {
			remove, ok := map[string]func(context.Context, string) error{
				"staff": store.DeleteStaff, "client": store.DeleteClient,
			}[args[0]]
			if !ok {
				return usageError{fmt.Errorf("revoke staff or client, not %q", args[0])}
			}
			if err := remove(ctx, args[1]); err != nil {
				return fmt.Errorf("revoke %s %s: %w", args[0], args[1], err)
			}
			return nil
		}),
	}
	access.AddCommand(addClient, addStaff, list, revoke)
	return access
}

func addStaff(ctx context.Context, store registry.Store, s registry.Staff, password string) error {
	hash, err := api.HashPassword(password)
	if err != nil {
		return err
	}
	s.PasswordHash = hash
	if err := store.PutStaff(ctx, s); err != nil {
		return fmt.Errorf("add staff: %w", err)
	}
	return nil
}

func (p *program) newPassword() (string, error) {
	password := p.getenv("MEGURI_PASSWORD")
	if f, ok := p.stdin.(*os.File); password == "" && ok && term.IsTerminal(int(f.Fd())) {
		fmt.Fprint(p.stderr, "password: ")
		text, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(p.stderr)
		if err != nil {
			return "", err
		}
		password = string(text)
	}
	if len(password) < shortest {
		return "", fmt.Errorf("a password has at least %d characters: set MEGURI_PASSWORD", shortest)
	}
	return password, nil
}
