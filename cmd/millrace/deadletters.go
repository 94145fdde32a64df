package main

import (
	"context"
	"time"

	"github.com/millrace-io/millrace/pipelines"
)

type deadLettersCommand struct {
	Data     string `help:"Data directory." default:"millrace-data" placeholder:"DIR"`
	Pipeline string `help:"Only those of this pipeline." placeholder:"NAME"`
	JSON     bool   `name:"json" help:"Accepted for uniformity; dead letters are JSON, one a line, in any case."`
}

// Run prints dead letters, one JSON object a line. No pipeline may be running on the directory.
func (c *deadLettersCommand) Run(a *app) error {
	return pipelines.DeadLetters(context.Background(), c.Data, c.Pipeline, time.Now, func(letter []byte) error {
		_, err := a.stdout.Write(append(letter, '\n'))
		return err
	})
}
