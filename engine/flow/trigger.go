package flow

import "time"

// Trigger says when a chunk is cut: at whichever comes first. Zero means never for that reason.
type Trigger struct {
	// Size is encoded bytes.
	Size int64
	Age  time.Duration
	Rows int64
}
