package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/millrace-io/millrace/engine/api/control"
	"github.com/millrace-io/millrace/engine/stream/seal/master"
)

type streamEncrypt struct {
	streamFlags
	Name   string   `arg:"" help:"Stream."`
	Key    []string `help:"Master key: file:PATH, env:VARIABLE, aws-kms://… or hcvault://…. Once more for a key of before, that still opens what it encrypted." sep:"none" placeholder:"KEY" xor:"what"`
	Off    bool     `help:"Write in clear from now on. What is encrypted stays so, and readable." xor:"what"`
	Rewrap bool     `help:"Wrap all data keys with what the master key is now, after it was changed." xor:"what"`
}

// Help is printed below the usage.
func (streamEncrypt) Help() string {
	return `Records that are there stay as they are until their retention is over. Keep a copy of the key elsewhere: without
it the records are gone. The process that has the data directory, such as a running pipeline, must be able to
use the key: the file must be readable, the variable set, for it.

Example: make a key and use it; then change it:
  (umask 077 && openssl rand -base64 32 > orders.key)
  millrace stream encrypt orders --key file:orders.key
  (umask 077 && { openssl rand -base64 32; cat orders.key; } > new.key) && mv new.key orders.key
  millrace stream encrypt orders --rewrap

docs/encryption.md has the rest.`
}

// Run changes the encryption of a stream.
func (c *streamEncrypt) Run(a *app) error {
	if len(c.Key) == 0 && !c.Off && !c.Rewrap {
		return usageError{errors.New("say --key KEY, --rewrap or --off")}
	}
	return c.with(a, openOptions{}, func(ctx context.Context, s *session) error {
		text, err := c.change(ctx, s)
		if err != nil {
			return err
		}
		return c.describe(ctx, a, s, c.Name, func(control.Stream) string { return text })
	})
}

func (c *streamEncrypt) change(ctx context.Context, s *session) (string, error) {
	switch {
	case c.Off:
		return fmt.Sprintf("%s is written in clear from now on\n", c.Name), s.Decrypt(ctx, c.Name)
	case c.Rewrap:
		n, err := s.Rewrap(ctx, c.Name)
		return fmt.Sprintf("the data keys of %s %s of %s are wrapped with the master key as it is now\n", count(int64(n)), plural(n, "segment"), c.Name), err
	}
	key := master.AbsoluteSpec(c.Key...)
	return fmt.Sprintf("%s is encrypted with %s from now on\n", c.Name, key), s.Encrypt(ctx, c.Name, key)
}
