// Command millrace runs pipelines: sources into durable streams, SQL on them, delivery out of them.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/alecthomas/kong"

	"github.com/millrace-io/millrace/engine/vfs"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// usageError is a mistake in how the program was called or configured.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// app is what every command gets.
type app struct {
	stdout, stderr io.Writer
	log            *slog.Logger
}

type commands struct {
	LogLevel slog.Level `help:"Least important log messages to print: debug, info, warn or error." default:"warn"`

	Run         runCommand         `cmd:"" help:"Run a pipeline file."`
	Serve       serveCommand       `cmd:"" help:"Serve the streams of a data directory to AWS SDKs: the Kinesis Data Streams API."`
	Check       checkCommand       `cmd:"" help:"Check a pipeline file and print every mistake in it."`
	Explain     explainCommand     `cmd:"" help:"Show the plans of a pipeline's queries and sinks as trees."`
	Test        testCommand        `cmd:"" help:"Run the tests in a pipeline file, in virtual time."`
	Status      statusCommand      `cmd:"" help:"Show what a running pipeline does (needs run --admin)."`
	Discover    discoverCommand    `cmd:"" help:"Propose a schema for the records of a file or stream."`
	Estimate    estimateCommand    `cmd:"" help:"Predict the objects that a pipeline's sinks will write."`
	DeadLetters deadLettersCommand `cmd:"" help:"Print the rows that pipelines rejected, with the reasons."`
	Redrive     redriveCommand     `cmd:"" help:"Send the rows that a sink rejected to it again, after a fix."`
	Stream      streamCommand      `cmd:"" help:"Work with the streams of a data directory: create, describe, put, get, split, merge."`
	User        userCommand        `cmd:"" help:"Say who may send requests to a data directory's server, and what each may do."`
	Doctor      doctorCommand      `cmd:"" help:"Tell what is wrong with the settings of an AWS client for a server."`
	Schema      schemaCommand      `cmd:"" help:"Print the JSON Schema of pipeline files, for editors."`
	Version     versionCommand     `cmd:"" help:"Print the version."`
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run executes one command line and returns the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	var c commands
	code := -1
	parser, err := kong.New(&c,
		kong.Name("millrace"),
		kong.Description("A durable sharded stream with continuous SQL and Parquet delivery, declared in YAML."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(n int) { code = n }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	)
	if err != nil {
		fmt.Fprintln(stderr, "millrace:", err)
		return exitFailed
	}
	for _, arg := range args {
		if !utf8.ValidString(arg) {
			// The parser would replace the bytes that are no text, and put other data than was given.
			fmt.Fprintf(stderr, "millrace: argument %q is not UTF-8; keys and other arguments are text, data of any bytes can come from a file or standard input\n", arg)
			return exitUsage
		}
	}
	ctx, err := parser.Parse(args)
	if code >= 0 {
		return code
	}
	if err != nil {
		fmt.Fprintf(stderr, "millrace: %v; see millrace --help\n", err)
		return exitUsage
	}
	a := &app{stdout: stdout, stderr: stderr, log: slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: c.LogLevel}))}
	return a.exit(ctx.Run(a))
}

// exit prints an error as its user needs it and chooses the exit code.
func (a *app) exit(err error) int {
	var usage usageError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(a.stderr, "millrace: stopped at once; the next run goes on where the last commit was")
		return exitFailed
	case errors.As(err, &usage):
		fmt.Fprintln(a.stderr, err)
		return exitUsage
	}
	if vfs.IsFull(err) {
		err = fmt.Errorf("%w; free space there or enlarge the disk, then start it again: what was stored is safe", err)
	}
	fmt.Fprintln(a.stderr, "millrace:", err)
	return exitFailed
}

// settle is how long after the first signal another one is taken for the same.
const settle = 500 * time.Millisecond

// signals closes stop at the first SIGINT or SIGTERM and cancels the context at the second.
// release must be called at the end.
func signals(a *app) (ctx context.Context, stop <-chan struct{}, release func()) {
	ctx, cancel := context.WithCancel(context.Background())
	incoming := make(chan os.Signal, 2)
	signal.Notify(incoming, os.Interrupt, syscall.SIGTERM)
	stopping, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-incoming:
			fmt.Fprintln(a.stderr, "stopping: committing what was read, for 10 s at most; once more to stop at once")
			close(stopping)
		case <-ctx.Done():
			return
		}
		// Some shells and tools send the same signal to the process and to its group.
		settled := time.Now().Add(settle)
		for {
			select {
			case <-incoming:
				if time.Now().After(settled) {
					cancel()
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return ctx, stopping, func() {
		signal.Stop(incoming)
		cancel()
		<-done
	}
}
