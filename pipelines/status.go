package pipelines

import (
	"github.com/millrace-io/millrace/engine/checkpoint"
	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/engine/table"
)

// Status is a snapshot of a running pipeline.
type Status struct {
	Pipeline string `json:"pipeline"`
	// Ready is false while a component is at fault; Faults says which and why.
	Ready   bool           `json:"ready"`
	Faults  []Fault        `json:"faults,omitempty"`
	Streams []StreamStatus `json:"streams"`
	Sources []SourceStatus `json:"sources"`
	Tasks   []flow.Status  `json:"tasks"`
	// Tables are the reference tables that queries join.
	Tables []table.Status `json:"tables,omitempty"`
	// DeadLetters is where rejected rows are kept.
	DeadLetters StreamStatus `json:"dead_letters"`
}

// Fault is a component that does not work at the moment.
type Fault struct {
	Component string `json:"component"`
	Error     string `json:"error"`
}

// StreamStatus is a stream: its size, and what it takes.
type StreamStatus struct {
	Name string `json:"name"`
	// Shards are all that can be read, those that were split or merged too.
	Shards int `json:"shards"`
	StreamCapacity
	// Records that were ever stored, and the bytes that the stream takes on disk now.
	Records int64 `json:"records"`
	Bytes   int64 `json:"bytes"`
}

// SourceStatus is what a source did in this run.
type SourceStatus struct {
	Name string `json:"name"`
	Type string `json:"type"`
	To   string `json:"to"`
	// State is running, retrying, done or failed.
	State string `json:"state"`
	Error string `json:"error,omitempty"`
	// Written records are durable in the stream; Skipped ones were in it from an earlier run.
	Written int64 `json:"written"`
	Skipped int64 `json:"skipped"`
	// Rejected pieces of input could not become records; they are dead letters.
	Rejected int64 `json:"rejected"`
	// Read of Total bytes of input; Total is 0 when it is unknown.
	Read  int64 `json:"read"`
	Total int64 `json:"total"`
}

// Summary is what a run did, as `run --json` prints it.
type Summary struct {
	Pipeline string `json:"pipeline"`
	// Result is "delivered" when all input ended and arrived, "stopped" otherwise.
	Result      string             `json:"result"`
	Seconds     float64            `json:"seconds"`
	Streams     []StreamStatus     `json:"streams"`
	Sources     []SourceStatus     `json:"sources"`
	Tasks       []TaskSummary      `json:"tasks"`
	Tables      []table.Status     `json:"tables,omitempty"`
	DeadLetters DeadLettersSummary `json:"dead_letters"`
}

// TaskSummary is what a sink or query did.
type TaskSummary struct {
	Name      string `json:"name"`
	Kind      string `json:"kind"`
	Type      string `json:"type,omitempty"`
	From      string `json:"from"`
	Guarantee string `json:"guarantee,omitempty"`
	// Hint is what to try with what a sink delivered.
	Hint string `json:"hint,omitempty"`
	// Total is the ledger of the task's last step since it was first run, Run that of this run.
	Total checkpoint.Counts `json:"total"`
	Run   checkpoint.Counts `json:"run"`
	// Steps are the ledgers of all steps since the task was first run.
	Steps []checkpoint.Step `json:"steps"`
	// Objects were created in this run, the latest of them if there are very many; Delivered counts
	// those of all runs, DeliveredRun all of this run.
	Objects      []checkpoint.Object  `json:"objects"`
	Delivered    checkpoint.Delivered `json:"delivered"`
	DeliveredRun checkpoint.Delivered `json:"delivered_run"`
}

// DeadLettersSummary counts rejected rows.
type DeadLettersSummary struct {
	Stream string `json:"stream"`
	Total  int64  `json:"total"`
	Run    int64  `json:"run"`
}

// summarize turns the last status of a run into its summary.
func summarize(s Status, result string, seconds float64, deadBefore int64) Summary {
	out := Summary{
		Pipeline: s.Pipeline, Result: result, Seconds: seconds, Streams: s.Streams, Sources: s.Sources, Tables: s.Tables,
		DeadLetters: DeadLettersSummary{Stream: s.DeadLetters.Name, Total: s.DeadLetters.Records, Run: s.DeadLetters.Records - deadBefore},
	}
	for _, t := range s.Tasks {
		last := len(t.Steps) - 1
		out.Tasks = append(out.Tasks, TaskSummary{
			Name: t.Name, Kind: t.Kind, Type: t.Type, From: t.From, Guarantee: t.Guarantee, Hint: t.Hint,
			Total: t.Steps[last].Counts, Run: t.Steps[last].Counts.Sub(t.Before[last].Counts),
			Steps: t.Steps, Objects: t.Objects, Delivered: t.Delivered, DeliveredRun: t.Delivered.Sub(t.DeliveredBefore),
		})
	}
	return out
}
