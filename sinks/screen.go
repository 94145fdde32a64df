package sinks

// Screen is implemented by a sink that has something to show on the terminal. The sink does not
// write there itself: whoever owns the terminal draws it among the other things it shows.
type Screen interface {
	// Screen returns the current picture as lines without line breaks, none wider than width
	// terminal cells; width 0 means no limit. It may be called from any goroutine, also after
	// Close.
	Screen(width int) []string
}
