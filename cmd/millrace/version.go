package main

import (
	"fmt"
	"runtime/debug"
)

type versionCommand struct {
	JSON bool `name:"json" help:"Print the version as JSON."`
}

// Run prints the version that the build recorded.
func (c *versionCommand) Run(a *app) error {
	version, goVersion := "unknown", "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		version, goVersion = info.Main.Version, info.GoVersion
	}
	if c.JSON {
		return printJSON(a, map[string]string{"version": version, "go": goVersion})
	}
	fmt.Fprintf(a.stdout, "millrace %s, %s\n", version, goVersion)
	return nil
}
