package file

// Single implements sinks.Single.
func (c *Config) Single() string {
	if c.Path != "" {
		return "one file has one writer"
	}
	return ""
}
