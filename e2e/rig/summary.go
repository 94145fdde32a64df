package rig

import "fmt"

// Summary is the document that `millrace run --json` ends with.
type Summary struct {
	Pipeline string   `json:"pipeline"`
	Result   string   `json:"result"` // delivered or stopped
	Seconds  float64  `json:"seconds"`
	Streams  []Stream `json:"streams"`
	Sources  []Source `json:"sources"`
	Tasks    []Task   `json:"tasks"`
	// DeadLetters counts the rows kept apart.
	DeadLetters struct {
		Stream string `json:"stream"`
		Total  int64  `json:"total"`
		Run    int64  `json:"run"`
	} `json:"dead_letters"`
}

// Stream of a Summary.
type Stream struct {
	Name    string `json:"name"`
	Records int64  `json:"records"`
	Bytes   int64  `json:"bytes"`
	Shards  int    `json:"shards"`
}

// Source of a Summary.
type Source struct {
	Name, Type, To   string
	Written, Skipped int64
}

// Task of a Summary: a sink or a query.
type Task struct {
	Name, Kind, Type, From string
	Guarantee              string
	// Total and Run are the ledger of the last step, over all runs and of this one.
	Total, Run Counts
	// Steps are the ledgers of all steps over all runs, the decoding of the stream first.
	Steps []Step
	// Objects were created by this run; Delivered sums those of all runs.
	Objects   []Object
	Delivered struct {
		Objects, Rows, Bytes int64
		ErrorObjects         int64 `json:"error_objects"`
		ErrorRows            int64 `json:"error_rows"`
	}
}

// Step of a Task.
type Step struct {
	Name string
	Counts
}

// Counts say what became of a task's rows.
type Counts struct {
	In, Passed, Aggregated, Filtered, Dropped, Late, Bad, Expired int64
}

// Balanced reports whether every row that went in is accounted for.
func (c Counts) Balanced() bool {
	return c.In == c.Passed+c.Aggregated+c.Filtered+c.Dropped+c.Late+c.Bad+c.Expired
}

// Unbalanced says where rows are not accounted for: in a step, from one step to the next, or, when all was
// delivered, between a stream and the task that reads it. Nothing is in flight then.
func (s Summary) Unbalanced() (found []string) {
	for _, t := range s.Tasks {
		several := false
		for i, step := range t.Steps {
			if !step.Balanced() {
				found = append(found, fmt.Sprintf("%s: the ledger of step %s does not add up: %+v", t.Name, step.Name, step.Counts))
			}
			// A query of several streams has the steps of each, one stream behind the other.
			several = several || i > 0 && s.Stream(step.Name).Name != ""
			if i > 0 && !several && step.In != t.Steps[i-1].Passed {
				found = append(found, fmt.Sprintf("%s: %d rows went into step %s, but %d came out of %s", t.Name, step.In, step.Name, t.Steps[i-1].Passed, t.Steps[i-1].Name))
			}
		}
		from := s.Stream(t.From)
		if s.Result == "delivered" && !several && from.Name != "" && t.In() != from.Records {
			found = append(found, fmt.Sprintf("%s took in %d rows, stream %s has %d records", t.Name, t.In(), from.Name, from.Records))
		}
	}
	return found
}

// Object that a task delivered.
type Object struct {
	Key         string
	Rows, Bytes int64
}

// In is how many rows the task ever read from its stream.
func (t Task) In() int64 {
	if len(t.Steps) == 0 {
		return 0
	}
	return t.Steps[0].In
}

// Filtered is how many rows any step of the task left out.
func (t Task) Filtered() (n int64) {
	for _, step := range t.Steps {
		n += step.Filtered
	}
	return n
}

// Task of a name; its zero value when there is none.
func (s Summary) Task(name string) Task {
	for _, t := range s.Tasks {
		if t.Name == name {
			return t
		}
	}
	return Task{}
}

// Stream of a name; its zero value when there is none.
func (s Summary) Stream(name string) Stream {
	for _, st := range s.Streams {
		if st.Name == name {
			return st
		}
	}
	return Stream{}
}
