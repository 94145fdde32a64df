package temporal

// MinTimestamp and MaxTimestamp are the first and the last microsecond of the years 1 to 9999 in UTC:
// those that a column of type timestamp has, and RFC 3339 can write.
const (
	MinTimestamp int64 = -62135596800000000
	MaxTimestamp int64 = 253402300799999999
)

// MaxInterval is the longest length of a window and MaxMonths the same in months: with it the bounds of
// the window of any timestamp fit 64 bits.
const (
	MaxMonths   int64 = 12 * 10_000
	MaxInterval       = MaxMonths / 12 * 366 * Day
)

// InYears reports whether a time is in the years 1 to 9999.
func InYears(micros int64) bool { return micros >= MinTimestamp && micros <= MaxTimestamp }

// Within is a time, or the nearest one in the years 1 to 9999.
func Within(micros int64) int64 { return min(max(micros, MinTimestamp), MaxTimestamp) }
