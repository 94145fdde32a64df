package capacity

import "time"

// bucket is a token bucket, one second deep. Its tokens may be negative: who takes more than
// there is makes those after him wait.
type bucket struct {
	rate   int64
	tokens float64
	filled time.Time
}

func newBucket(rate int64) bucket { return bucket{rate: rate, tokens: float64(rate)} }

// wait fills the bucket up to now and returns how long it takes until n may be taken, 0 when they
// may be now. More than the bucket holds may be taken when it is full.
func (b *bucket) wait(now time.Time, n int64) time.Duration {
	if b.rate <= 0 {
		return 0
	}
	b.fill(now)
	need := float64(min(n, b.rate)) - b.tokens
	if need <= 0 {
		return 0
	}
	// Rounded up, so that who waits that long finds the tokens.
	return time.Duration(need/float64(b.rate)*float64(time.Second)) + 1
}

func (b *bucket) fill(now time.Time) {
	if b.filled.IsZero() {
		b.filled = now
	}
	// A clock that was set back fills nothing, and does not count the time twice either.
	if passed := now.Sub(b.filled); passed > 0 {
		b.tokens = min(b.tokens+passed.Seconds()*float64(b.rate), float64(b.rate))
	}
	b.filled = now
}

func (b *bucket) take(n int64) {
	if b.rate > 0 {
		b.tokens -= float64(n)
	}
}
