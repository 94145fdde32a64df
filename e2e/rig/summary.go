package rig

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
	Total, Run             Counts
	Objects                []Object
}

// Counts say what became of a task's rows.
type Counts struct {
	In, Passed, Aggregated, Filtered, Dropped, Late, Bad, Expired int64
}

// Balanced reports whether every row that went in is accounted for.
func (c Counts) Balanced() bool {
	return c.In == c.Passed+c.Aggregated+c.Filtered+c.Dropped+c.Late+c.Bad+c.Expired
}

// Object that a task delivered.
type Object struct {
	Key         string
	Rows, Bytes int64
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
