# `make help` lists the targets.

.DEFAULT_GOAL := help

# The race detector needs cgo and a platform it knows; where it cannot run, the tests run without it.
RACE := $(shell go list -race runtime/race >/dev/null 2>&1 && echo -race)

# How long the tests of one package may run; compilation does not count.
TEST_TIMEOUT ?= 15m

# lint analyses what test builds: the SQL parser (C) takes minutes to compile, once is enough.
lint: export GOFLAGS := $(strip $(GOFLAGS) $(RACE))

.PHONY: help
help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: deps
deps: postgres ## install (Debian, Ubuntu) the PostgreSQL server, which it does not start, and npm, unless they are there
	@.ci/deps-npm

.PHONY: postgres
postgres:
	@.ci/deps

.PHONY: demo
demo: postgres build ## try it: an own PostgreSQL, a simulated GitHub, sync and proxy, until Ctrl-C
	@exec bin/pghub demo

.PHONY: build
build: ## compile bin/pghub
	go build -o bin/pghub ./cmd/pghub

.PHONY: test
test: postgres ## run all tests, with the race detector where it runs
	@go run ./internal/contract/fetch -optional
	go test $(RACE) -timeout $(TEST_TIMEOUT) ./...

.PHONY: contract
contract: postgres ## fetch what GitHub publishes about its interfaces (npm), and run the tests against it
	@go run ./internal/contract/fetch
	CI=true go test $(RACE) -count 1 -timeout $(TEST_TIMEOUT) ./internal/ghapi ./internal/githubsim ./writers
	CI=true go test $(RACE) -count 1 -timeout $(TEST_TIMEOUT) -v ./internal/contract/...

.PHONY: lint
lint: ## check formatting, go vet, go.mod and staticcheck
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "gofmt -w is needed for:"; echo "$$unformatted"; exit 1; }
	go mod tidy -diff
	go vet ./...
	$$(GOFLAGS= go tool -n staticcheck) ./...

.PHONY: bench
bench: postgres ## measure: proxy against direct, write-through, backfill (docs/performance.md)
	go run ./internal/bench $(BENCH)
