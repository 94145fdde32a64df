package kinesis

import (
	"context"
	"net/http"
	"strings"
	"time"
)

const (
	// largeAnswer is what a client of HTTP/1.1 may have to read in several turns, the header included.
	largeAnswer = 3 << 10
	// lateAnswer is how long after its request such an answer comes to a hasty client, lateEvents a subscription's.
	lateAnswer = time.Millisecond
	lateEvents = 10 * time.Millisecond
)

// hasty reports whether a client loses answers that come too early: docs/decisions/0018-large-answers-come-late.md.
func hasty(r *http.Request) bool {
	return r.ProtoMajor == 1 && strings.HasPrefix(r.UserAgent(), "aws-sdk-go-v2/")
}

// late waits before a large answer to a hasty client is sent.
func late(r *http.Request, asked time.Time) {
	if hasty(r) {
		pause(r.Context(), lateAnswer-time.Since(asked))
	}
}

// pause waits, unless the request is given up.
func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
