# Meguri. "make help" lists the targets.

SHELL := /bin/bash
TAGS  := duckdb_arrow
BIN   := bin/meguri
GO    := go
# Tools that check the code, pinned; they are no dependency of the product.
STATICCHECK := $(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2
SPECTRAL    := npx --yes @stoplight/spectral-cli@6.16.3
DATA        ?= meguri-data

.PHONY: help run test bench check generate generate-check features fuzz build lint-openapi screenshots clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sort | awk -F':.*## ' '{printf "  %-16s %s\n", $$1, $$2}'

# No -trimpath: the build then shares its cache with the tests.
build: ## build bin/meguri
	@mkdir -p bin
	$(GO) build -tags $(TAGS) -ldflags "-X main.version=$$(git describe --tags --always --dirty 2>/dev/null || echo devel)" -o $(BIN) ./cmd/meguri

run: build ## make a demo city, run the whole way of the data, serve the pages
	$(BIN) demo --dir $(DATA)

test: ## run every test (PostgreSQL and Chromium tests are skipped where these are not installed)
	$(GO) test -tags $(TAGS) -timeout 20m $(TESTFLAGS) ./...

bench: build ## run all benchmarks and write docs/benchmarks.md
	$(BIN) bench all --format markdown > docs/benchmarks.md.tmp
	mv docs/benchmarks.md.tmp docs/benchmarks.md
	@cat docs/benchmarks.md

check: ## gofmt, vet, staticcheck, layers, generated code, contracts, features, race tests
	@test -z "$$(gofmt -l $$(git ls-files '*.go' | grep -v '\.gen\.go$$'))" || { gofmt -l $$(git ls-files '*.go' | grep -v '\.gen\.go$$'); echo "gofmt: the files above"; exit 1; }
	$(GO) vet -tags $(TAGS) ./...
	$(STATICCHECK) -tags $(TAGS) ./...
	$(GO) test -tags $(TAGS) -run TestLayers ./cmd/meguri
	$(MAKE) generate-check lint-openapi features
	$(GO) test -race -short -tags $(TAGS) -timeout 30m ./...

generate: ## make the code of the contracts anew
	$(GO) generate ./openapi/...

generate-check: generate ## fail when generated code is not what the contracts give
	@git diff --exit-code -- openapi || { echo "generated code differs: commit what \"make generate\" made"; exit 1; }

lint-openapi: ## lint the contracts (needs Node.js)
	$(SPECTRAL) lint openapi/*/openapi.yaml --ruleset openapi/.spectral.yaml --fail-severity=hint

features: ## check that docs/features.md names tests that exist
	$(GO) test -tags $(TAGS) -run TestFeatures ./cmd/meguri

FUZZTIME ?= 10s
fuzz: ## run every fuzz target for FUZZTIME (10s)
	@set -e; grep -rlE '^func Fuzz' --include='*_test.go' . | while read -r file; do \
		for target in $$(grep -oE '^func Fuzz[A-Za-z0-9_]+' $$file | sed 's/func //'); do \
			echo "$$target ($$(dirname $$file))"; \
			$(GO) test -tags $(TAGS) -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) ./$$(dirname $$file); \
		done; \
	done

screenshots: ## remake the pictures in docs/images (needs Chromium)
	$(GO) test -tags $(TAGS) -run TestBrowser ./cmd/meguri -screenshots $(CURDIR)/docs/images

clean: ## remove what was built
	rm -rf bin
