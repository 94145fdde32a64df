package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/millrace-io/millrace/engine/api/control"
	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/column/infer"
	"github.com/millrace-io/millrace/pipelines"
	sourcefile "github.com/millrace-io/millrace/sources/file"
)

type discoverCommand struct {
	Target string `arg:"" help:"File with records, or a stream of the data directory." placeholder:"FILE|STREAM"`
	Data   string `help:"Data directory, or that of a running pipeline." default:"millrace-data" placeholder:"DIR"`
	Sample int    `help:"Look at so many records at most." default:"1000" placeholder:"N"`
	Format string `help:"Format of the file: ndjson, json or auto." enum:"auto,ndjson,json" default:"auto"`
	Lock   string `help:"Write the schema to this file, for infer: {lock: FILE}." placeholder:"FILE"`
	JSON   bool   `name:"json" help:"Print the result as JSON."`
}

// Help is printed below the usage.
func (discoverCommand) Help() string {
	return `Looks at the first records of a file (newline-delimited JSON or JSON, packed with gzip or zstd or not) or of a
stream and proposes a schema: lines to paste into a pipeline file, with what was seen in each column. Nothing
is stored.

Example: propose a schema; keep it in a lock file for infer:
  millrace discover clicks.ndjson.gz
  millrace discover clicks --lock clicks.schema.yaml`
}

// discovery is what discover --json prints.
type discovery struct {
	Target string `json:"target"`
	// Records that the sample has; Bad ones are no JSON objects and are not among them.
	Records int64 `json:"records"`
	Bad     int64 `json:"bad"`
	// Schema maps the top-level fields to their types, in the order of Columns.
	Schema  map[string]string `json:"schema"`
	Columns []infer.Column    `json:"columns"`
	// Conflicts are columns whose values are of several kinds.
	Conflicts []infer.Conflict `json:"conflicts"`
	// Unknown are fields that held nothing but null or empty lists and objects.
	Unknown []string `json:"unknown"`

	schema *column.Schema
}

// Run proposes a schema.
func (c *discoverCommand) Run(a *app) error {
	if c.Sample < 1 {
		return usageError{fmt.Errorf("--sample %d: want 1 or more", c.Sample)}
	}
	records, rejected, err := c.records(a)
	if err != nil {
		return err
	}
	sample := infer.New(infer.Limits{})
	for _, r := range records {
		if err := sample.Add(r); errors.Is(err, infer.ErrTooManyFields) {
			return fmt.Errorf("%s: %w", c.Target, err)
		}
	}
	if sample.Rows() == 0 {
		return fmt.Errorf("%s: none of %s is a JSON object, so there is no schema to propose", c.Target, some(sample.Bad()+rejected, "record"))
	}
	if c.Lock != "" {
		if err := c.lock(a, sample); err != nil {
			return err
		}
	}
	d := c.discovery(sample, rejected)
	if c.JSON {
		return printJSON(a, d)
	}
	_, err = a.stdout.Write(d.text(c.name()))
	return err
}

// records are those of the file or stream.
func (c *discoverCommand) records(a *app) (records [][]byte, rejected int64, err error) {
	if info, err := os.Stat(c.Target); err == nil && !info.IsDir() {
		return c.file()
	}
	flags := streamFlags{Data: c.Data}
	err = flags.with(a, openOptions{}, func(ctx context.Context, s *session) error {
		records, err = c.stream(ctx, s)
		return err
	})
	var usage usageError
	if errors.As(err, &usage) {
		err = usageError{fmt.Errorf("%s is no file, and no stream can be read: %w", c.Target, usage.error)}
	}
	return records, 0, err
}

func (c *discoverCommand) file() (records [][]byte, rejected int64, err error) {
	component := sourcefile.Component()
	cfg, ok := component.Config().(*sourcefile.Config)
	if !ok {
		return nil, 0, errors.New("the file source has another configuration")
	}
	// A path that exists is taken as it is, whatever is in it.
	cfg.Paths = []string{c.Target}
	if cfg.Format = c.Format; c.Format == "auto" {
		cfg.Format = "ndjson"
		if jsonName.MatchString(c.Target) {
			cfg.Format = "json"
		}
	}
	cfg.MaxRecord = 10 << 20
	return pipelines.Sample(context.Background(), component, cfg, c.Sample)
}

// jsonName is what files of JSON texts are called, which may be one array.
var jsonName = regexp.MustCompile(`(?i)\.json(\.gz|\.gzip|\.zst|\.zstd)?$`)

func (c *discoverCommand) stream(ctx context.Context, s *session) ([][]byte, error) {
	var records [][]byte
	request := control.ReadRequest{Stream: c.Target}
	for len(records) < c.Sample {
		request.Limit = min(c.Sample-len(records), control.MaxRead)
		page, err := s.Read(ctx, request)
		if err != nil {
			return nil, err
		}
		for _, r := range page.Records {
			records = append(records, r.Data)
		}
		request.Cursor = page.Cursor
		if page.CaughtUp {
			break
		}
	}
	return records, nil
}

// lock writes the lock file; one that is there is not replaced.
func (c *discoverCommand) lock(a *app, sample *infer.Sample) error {
	if _, err := os.Lstat(c.Lock); !errors.Is(err, fs.ErrNotExist) {
		return usageError{fmt.Errorf("%s is there already; remove it, or name another file", c.Lock)}
	}
	schema := sample.Schema(infer.MixedText)
	if len(schema.Fields) == 0 {
		return fmt.Errorf("%s: no field has a value, so there is no schema to write", c.Target)
	}
	head := fmt.Sprintf("The schema of %s, inferred from %s.\nUse it with infer: {lock: %s}, see docs/schema.md.\n", c.Target, some(sample.Rows(), "record"), filepath.Base(c.Lock))
	if err := (pipelines.Lock{Schema: schema}).Write(c.Lock, head); err != nil {
		return err
	}
	fmt.Fprintf(a.stderr, "wrote %s\n", c.Lock)
	return nil
}

func (c *discoverCommand) discovery(sample *infer.Sample, rejected int64) discovery {
	d := discovery{
		Target: c.Target, Records: sample.Rows(), Bad: sample.Bad() + rejected, Schema: map[string]string{},
		Columns: sample.Columns(infer.MixedJSON), Conflicts: []infer.Conflict{}, Unknown: []string{},
		schema: sample.Schema(infer.MixedJSON),
	}
	d.Conflicts = append(d.Conflicts, infer.Conflicts(d.Columns)...)
	for _, f := range d.schema.Fields {
		d.Schema[f.Name] = f.Type.String()
	}
	for _, x := range d.Columns {
		if x.Type == "" && !strings.HasSuffix(x.Path, "[]") {
			d.Unknown = append(d.Unknown, x.Path)
		}
	}
	return d
}

// name of the stream in the proposal.
func (c *discoverCommand) name() string {
	stem, _, _ := strings.Cut(filepath.Base(c.Target), ".")
	stem = strings.Trim(regexp.MustCompile(`[^a-z0-9_-]+`).ReplaceAllString(strings.ToLower(stem), "-"), "-_")
	if stem == "" {
		return "events"
	}
	return stem
}

// text is the proposal as YAML, with what was seen as comments.
func (d discovery) text(name string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# %s: %s", d.Target, some(d.Records, "record"))
	if d.Bad > 0 {
		fmt.Fprintf(&b, "; %s left out that are no JSON objects", some(d.Bad, "other"))
	}
	fmt.Fprintf(&b, "\nstreams:\n  %s:\n    schema:\n", name)
	conflicts := map[string]infer.Conflict{}
	for _, x := range d.Conflicts {
		conflicts[x.Path] = x
	}
	pipelines.WriteFields(&b, d.schema.Fields, "      ", func(f column.Field) string {
		if x, ok := conflicts[f.Name]; ok {
			return kindsText(x.Kinds)
		}
		return ""
	})
	b.WriteString("\n# What was seen:\n")
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "#   column\ttype\tnull\tdistinct\tsmallest\tlargest\texamples")
	for _, x := range d.Columns {
		distinct := ""
		if x.Min != "" || x.Max != "" {
			distinct = count(x.Distinct)
		}
		fmt.Fprintf(tw, "#   %s\t%s\t%s\t%s\t%s\t%s\t%s\n", oneLine(x.Path), shortType(x.Type), percent(part(x.Nulls, x.Rows)), distinct,
			oneLine(x.Min), oneLine(x.Max), oneLine(strings.Join(x.Examples, ", ")))
	}
	_ = tw.Flush() // a bytes.Buffer takes everything
	for _, x := range d.Conflicts {
		fmt.Fprintf(&b, "# conflict: %s is %s because it holds %s\n", oneLine(x.Path), x.Type, kindsText(x.Kinds))
	}
	if len(d.Unknown) > 0 {
		fmt.Fprintf(&b, "# not in the schema, as they hold nothing but null or empty lists and objects: %s\n", oneLine(strings.Join(d.Unknown, ", ")))
	}
	return b.Bytes()
}

func part(of, all int64) float64 {
	if all == 0 {
		return 0
	}
	return float64(of) / float64(all)
}

// shortType leaves out what the fields below say again.
func shortType(t string) string {
	switch {
	case t == "":
		return "-"
	case strings.HasPrefix(t, "{"):
		return "{…}"
	case strings.HasPrefix(t, "["):
		return "[…]"
	}
	return t
}

func kindsText(kinds map[string]int64) string {
	var texts []string
	for kind, n := range kinds {
		texts = append(texts, fmt.Sprintf("%s %s", count(n), kind))
	}
	slices.Sort(texts)
	return strings.Join(texts, ", ")
}

// oneLine keeps what records hold from breaking the lines of a table.
func oneLine(text string) string {
	const most = 60
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 {
			return ' '
		}
		return r
	}, text)
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}
