// Command millrace-kms wraps and unwraps data keys with a master key of AWS KMS or HashiCorp
// Vault, for a Millrace that names one in `encryption.key`. Millrace runs it; the protocol is
// master.Message's.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/millrace-io/millrace/engine/stream/seal"
	"github.com/millrace-io/millrace/engine/stream/seal/cloud"
	"github.com/millrace-io/millrace/engine/stream/seal/master"
)

// maxInput bounds what is read: a data key, wrapped or not, and its associated data.
const maxInput = 64 << 10

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout)
	stop()
	switch {
	case err == nil:
	case errors.Is(err, seal.ErrRefused):
		fmt.Fprintln(os.Stderr, err)
		os.Exit(master.ExitRefused)
	default:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	if len(args) != 2 || args[0] != "wrap" && args[0] != "unwrap" {
		return errors.New("usage: millrace-kms wrap|unwrap URI; it reads a data key from its input and is run by millrace, not by hand")
	}
	var request, reply master.Message
	if err := json.NewDecoder(io.LimitReader(in, maxInput)).Decode(&request); err != nil {
		return errors.New("the input is not a message in JSON")
	}
	key, err := cloud.Open(ctx, args[1])
	if err != nil {
		return err
	}
	if args[0] == "wrap" {
		reply.Wrapped, err = key.Wrap(ctx, request.Key, request.AAD)
	} else {
		reply.Key, err = key.Unwrap(ctx, key.ID(), request.Wrapped, request.AAD)
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(reply)
}
