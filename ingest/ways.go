package ingest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
)

// ErrWay: what came before stands under another identity than what would come
// now, so that it would count twice.
var ErrWay = errors.New("it was taken in under its own name before it was said to bring the records of another: " +
	"take it out of providers, or take everything in anew in an empty data folder")

// SetWays says of sources that they bring the records of a provider, by their
// names: the same provider may be present over an API and by files, or in more
// than one linkage mode. A record's identity is (provider, record ID, version),
// whatever the way it came; persons, shops and settlements are the provider's
// too. Each way keeps a cursor of its own.
func (im *Importer) SetWays(providers map[string]string) error {
	for _, way := range slices.Sorted(maps.Keys(providers)) {
		provider := providers[way]
		_, further := providers[provider]
		switch {
		case checkSource(way) != nil || checkSource(provider) != nil:
			return fmt.Errorf("%w: a way and its provider have names of 1 to 64 bytes without control characters", ErrInvalid)
		case further:
			return fmt.Errorf("%w: the provider of %s is said to be a way itself: name the provider of both", ErrInvalid, way)
		}
	}
	im.ways = maps.Clone(providers)
	return nil
}

// ProviderOf is the provider whose records a source brings: mostly itself.
func (im *Importer) ProviderOf(source string) string {
	if provider, ok := im.ways[source]; ok {
		return provider
	}
	return source
}

// providerOf is ProviderOf for what is about to come in.
func (im *Importer) providerOf(ctx context.Context, source string) (string, error) {
	provider := im.ProviderOf(source)
	if provider == source {
		return source, nil
	}
	imports, err := im.store.Imports(ctx, math.MaxInt32)
	if err != nil {
		return "", err
	}
	sources, err := im.store.Sources(ctx)
	if err == nil && (slices.Contains(sources, source) ||
		slices.ContainsFunc(imports, func(i ImportRecord) bool { return i.Source == source })) {
		err = fmt.Errorf("source %s: %w", source, ErrWay)
	}
	return provider, err
}

// ofProvider are options under which a file's rows are the provider's.
func (im *Importer) ofProvider(ctx context.Context, opts Options) (_ Options, err error) {
	if opts.Mapping == nil {
		if opts.Source == "" && opts.Format == MitakaTransactions {
			opts.Source = mitakaSource
		}
		opts.Source, err = im.providerOf(ctx, opts.Source)
		return opts, err
	}
	m := *opts.Mapping
	m.Source, err = im.providerOf(ctx, m.Source)
	opts.Mapping = &m
	return opts, err
}
