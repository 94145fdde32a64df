# Targets for people and for CI; `make help` lists them.
.DEFAULT_GOAL := help
.PHONY: help build lint unit fuzz test clients bench prove

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-7s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## compile ./millrace
	go build -o millrace ./cmd/millrace

# staticcheck is a tool of the e2e module, so that users of this one never download it.
lint: ## gofmt, go vet and staticcheck in both modules, and no conflict left in a file
	@! git grep -nE '^(<{7}|>{7}) '
	@unformatted=$$(gofmt -l .); [ -z "$$unformatted" ] || { echo "gofmt -w is due on:"; echo "$$unformatted"; exit 1; }
	go vet ./...
	cd e2e && go vet ./...
	staticcheck=$$(cd e2e && go tool -n staticcheck) && "$$staticcheck" ./... && cd e2e && "$$staticcheck" ./...

unit: ## tests of this module with the race detector, MinIO included
	minio=$$(e2e/minio.sh) && MILLRACE_MINIO=$$minio go test -race -timeout 30m ./...
	cd engine/stream/seal/cloud && go vet ./... && go test ./...

fuzz: ## every fuzz target for a few seconds
	e2e/fuzz.sh

test: lint unit fuzz ## everything, also what CI runs; builds MinIO the first time
	cd e2e && minio=$$(./minio.sh) && MILLRACE_MINIO=$$minio go test -timeout 40m ./...

clients: ## the clients for Node that tests of the Kinesis API run, from npm
	e2e/clients/node.sh

bench: ## the figures of docs/benchmarks.md: two million events into MinIO, the log beside the bare disk, the Kinesis API
	cd e2e && minio=$$(./minio.sh) && MILLRACE_MINIO=$$minio go run ./bench && go run ./bench -sql && go run ./bench -nexmark && go run ./streambench && go run ./kinesisbench

prove: ## the long forms: tens of thousands of power cuts, thousands of kills of the real binary
	MILLRACE_HISTORIES=400 go test -count 1 -timeout 120m -run PowerCuts -v ./engine/stream/disk
	cd e2e && minio=$$(./minio.sh) && MILLRACE_PROVE=1 MILLRACE_MINIO=$$minio go test -count 1 -timeout 180m -v ./...
