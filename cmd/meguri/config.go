package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"meguri/ingest/consent/safety"
	"meguri/pseudonymize"
)

// Config is what an operator sets. Flags go before the environment, the
// environment before the file, the file before the defaults.
type Config struct {
	Dir            string            `yaml:"-"`               // the data folder
	Database       string            `yaml:"database"`        // postgres://… or "", which is SQLite files in Dir
	Listen         string            `yaml:"listen"`          // address of the server
	City           string            `yaml:"city"`            // name on the pages
	CityCode       string            `yaml:"city_code"`       // its code (全国地方公共団体コード), which the lake is filed under
	Programme      string            `yaml:"programme"`       // name of what the pages are about
	PassphraseFile string            `yaml:"passphrase_file"` // file with the keyset's passphrase
	KMSKey         string            `yaml:"kms_key"`         // key of a KMS that seals the keyset instead of a passphrase
	Project        string            `yaml:"project"`         // whose key makes the tokens
	Purpose        string            `yaml:"purpose"`         // and what for (利用目的)
	ConsentText    string            `yaml:"consent_text"`    // version of the text that the wallet shows, such as wallet/2026-10/ja
	Linked         []string          `yaml:"linked"`          // sources whose persons count once they are linked to residents
	Providers      map[string]string `yaml:"providers"`       // source → the provider whose records it brings, where that has another name
	LogLevel       string            `yaml:"log_level"`       // debug, info, warn, error
	Provider       string            `yaml:"provider"`        // name of our ledger as a payment provider
	From           string            `yaml:"from"`            // first day that pages show; "" is the data's first
	To             string            `yaml:"to"`              // last day; "" is the data's last
	StatisticsKey  string            `yaml:"statistics_key"`  // file with the private key that signs bundles
	AddressFile    string            `yaml:"-"`               // where the server writes its address
	Neighbours     map[string]string `yaml:"neighbours"`      // the area that takes a small one in, for statistics
	Demo           bool              `yaml:"demo"`            // the data are made up, and every screen says so
	Profile        string            `yaml:"profile"`         // production, or trial: a database that may lose what it has committed
	RightsDays     int               `yaml:"rights_days"`     // days within which requests of persons are answered

	Safety map[string]safety.Profile   `yaml:"safety"` // component → basic or enhanced
	Stated map[string]safety.Statement `yaml:"stated"` // safety measures that a program cannot see
}

// production is the profile in which the ledger's database must keep what it has
// committed, and trial the one in which it is only warned about.
const (
	production = "production"
	trial      = "trial"
)

// flags are the values of the command line that every command knows.
type flags struct {
	dir, config, database, listen, logLevel, passphraseFile string
}

func (f *flags) register(set *pflag.FlagSet) {
	set.StringVar(&f.dir, "dir", "meguri-data", "data folder")
	set.StringVar(&f.config, "config", "", "configuration file (default: meguri.yaml in the data folder, if there is one)")
	set.StringVar(&f.database, "database", "", "postgres://… (default: SQLite files in the data folder)")
	set.StringVar(&f.logLevel, "log-level", "info", "debug, info, warn or error")
	set.StringVar(&f.passphraseFile, "passphrase-file", "", "file with the passphrase of the keyset (or set MEGURI_PASSPHRASE)")
}

// settings are the settings that a flag, a variable or the file can give.
var settings = []struct {
	flag  string
	field func(*Config) *string
}{
	{"database", func(c *Config) *string { return &c.Database }},
	{"listen", func(c *Config) *string { return &c.Listen }},
	{"city", func(c *Config) *string { return &c.City }},
	{"city-code", func(c *Config) *string { return &c.CityCode }},
	{"programme", func(c *Config) *string { return &c.Programme }},
	{"passphrase-file", func(c *Config) *string { return &c.PassphraseFile }},
	{"kms-key", func(c *Config) *string { return &c.KMSKey }},
	{"project", func(c *Config) *string { return &c.Project }},
	{"purpose", func(c *Config) *string { return &c.Purpose }},
	{"consent-text", func(c *Config) *string { return &c.ConsentText }},
	{"log-level", func(c *Config) *string { return &c.LogLevel }},
	{"provider", func(c *Config) *string { return &c.Provider }},
	{"statistics-key", func(c *Config) *string { return &c.StatisticsKey }},
	{"address-file", func(c *Config) *string { return &c.AddressFile }},
	{"from", func(c *Config) *string { return &c.From }},
	{"to", func(c *Config) *string { return &c.To }},
	{"profile", func(c *Config) *string { return &c.Profile }},
}

// variable is the environment's name of a flag: passphrase-file is
// MEGURI_PASSPHRASE_FILE.
func variable(flag string) string {
	return "MEGURI_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

func (p *program) loadConfig(set *pflag.FlagSet) (Config, error) {
	c := Config{Listen: "127.0.0.1:8080", City: "めぐり市", CityCode: "000000", Programme: "地域ウォレット", LogLevel: "info", Provider: "meguri", Profile: production,
		Project: pseudonymize.DefaultScope.Project, Purpose: pseudonymize.DefaultScope.Purpose}
	dir := p.flags.dir
	if v := p.getenv(variable("dir")); v != "" && !set.Changed("dir") {
		dir = v
	}
	file, must := p.flags.config, p.flags.config != ""
	if v := p.getenv(variable("config")); v != "" && !must {
		file, must = v, true
	}
	if file == "" {
		file = filepath.Join(dir, "meguri.yaml")
	}
	if err := readConfig(file, must, &c); err != nil {
		return c, err
	}
	for _, s := range settings {
		if v := p.getenv(variable(s.flag)); v != "" {
			*s.field(&c) = v
		}
		if f := set.Lookup(s.flag); f != nil && f.Changed {
			*s.field(&c) = f.Value.String()
		}
	}
	c.Dir = dir
	return c, nil
}

func readConfig(file string, must bool, c *Config) error {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) && !must {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(c); err != nil {
		return fmt.Errorf("read configuration %s: %w", file, err)
	}
	return nil
}
